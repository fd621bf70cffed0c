// Who is in the room.

import type { ProjectState } from "../protocol.ts";

/** How many participants the state keeps. */
const PARTICIPANTS_KEPT_MAX = 1000;

export function withParticipant(
  state: ProjectState,
  who: ProjectState["participants"][string],
): ProjectState {
  return { ...state, participants: { ...state.participants, [who.participant]: who } };
}

/** Beyond the limit the first of those who are gone is forgotten, by the number of their id. */
export function forgetParticipants(state: ProjectState): ProjectState {
  const everybody = Object.values(state.participants).filter((who) => who !== undefined);
  if (everybody.length <= PARTICIPANTS_KEPT_MAX) return state;
  const number = (id: string) => Number(id.slice(1));
  const gone = everybody
    .filter((who) => !who.present)
    .sort((a, b) => number(a.participant) - number(b.participant))[0];
  if (!gone) return state;
  const { [gone.participant]: _, ...participants } = state.participants;
  return { ...state, participants };
}

export function withoutLocksOf(state: ProjectState, participant: string): ProjectState {
  const kept = Object.entries(state.locks).filter(([, locker]) => locker !== participant);
  return { ...state, locks: Object.fromEntries(kept) };
}
