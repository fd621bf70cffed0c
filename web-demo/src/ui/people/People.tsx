import { Eye, LocateFixed, LogOut, UserMinus } from "lucide-react";
import { useMemo, useState } from "react";
import type { Participant, Role } from "../../protocol.ts";
import { hasOtherToken, isGuest, signOut, tokenFor } from "../access.ts";
import { NAME_LENGTH_MAX } from "../identity.ts";
import { usePhone } from "../media.ts";
import { Avatar } from "../parts/Avatar.tsx";
import { Menu } from "../parts/Menu.tsx";
import { useIsOwner, useMe, useRoom, useView } from "../room.ts";
import { nameOf } from "../select.ts";
import { whereabouts } from "./company.ts";
import "./people.css";

/** As many faces as fit the bar; the others are counted. */
const FACES_MAX = 4;
const FACES_MAX_PHONE = 2;
/** Of those who are gone, the last ones; a busy project knows hundreds. */
const GONE_MAX = 20;

/** Who is in the room and what they do, and the name to go by. For owners, who may do what. */
export function People() {
  const participants = useView((view) => view.state.participants);
  const me = useMe();
  const present = useMemo(() => sorted(participants, me), [participants, me]);
  const gone = useMemo(() => absent(participants), [participants]);
  const isOwner = useIsOwner();
  const phone = usePhone();
  const first = present[0];
  if (!first) return null;
  const fit = phone ? FACES_MAX_PHONE : FACES_MAX;
  const faces = present.slice(0, fit);
  return (
    <Menu
      className="people"
      label={`In the room: ${present.map((person) => person.name).join(", ")}`}
      testId="people"
      button={
        <>
          {faces.map((person) => (
            <Avatar key={person.participant} id={person.participant} name={person.name} />
          ))}
          {present.length > fit && <span className="people-more">+{present.length - fit}</span>}
        </>
      }
    >
      {(close) => (
        <div className="people-panel">
          <h2>In the room</h2>
          <ul className="people-list" data-testid="people-list">
            {present.map((person) => (
              <Person key={person.participant} person={person} isMe={person.participant === me} />
            ))}
          </ul>
          {isOwner && gone.length > 0 && (
            <details className="people-gone">
              <summary>Were here before</summary>
              <ul className="people-list">
                {gone.map((person) => (
                  <Person key={person.participant} person={person} isMe={false} />
                ))}
              </ul>
            </details>
          )}
          {first.participant === me && <Rename name={first.name} onDone={close} />}
          <Entrance />
        </div>
      )}
    </Menu>
  );
}

function Person({ person, isMe }: { person: Participant; isMe: boolean }) {
  const room = useRoom();
  const { participant, name, role, present, removed } = person;
  const presence = useView((view) => view.presence.get(participant));
  const followedName = useView((view) =>
    presence?.following ? nameOf(view.state, presence.following) : undefined,
  );
  const followsMe = useView((view) => presence?.following === view.welcome?.participant);
  const isFollowed = useView((view) => view.following === participant);
  const isOwner = useIsOwner();
  const where = followedName ? `follows ${followsMe ? "you" : followedName}` : whereabouts(presence);
  const words = removed ? "removed" : present ? where : "not here";
  return (
    <li data-testid="person" data-name={name} data-role={removed ? "removed" : role}>
      <Avatar id={participant} name={name} />
      <span className="person-words">
        <span className="truncate">
          {name}
          {isMe && <span className="person-me"> (you)</span>}
        </span>
        {words && !isMe && (
          <span className="person-where truncate" data-testid="whereabouts">
            {words}
          </span>
        )}
      </span>
      {present && !isMe && (
        <button
          type="button"
          className="icon-button small"
          aria-pressed={isFollowed}
          aria-label={isFollowed ? `Stop following ${name}` : `Follow ${name}`}
          title={isFollowed ? "Stop following" : "Follow: see what they look at"}
          onClick={() => room.follow(isFollowed ? undefined : participant)}
          data-testid="follow"
        >
          <LocateFixed size={15} />
        </button>
      )}
      {isOwner && !isMe ? <RoleChoice person={person} /> : <span className="people-role">{role}</span>}
    </li>
  );
}

const ROLES: Role[] = ["viewer", "editor", "owner"];

/** What somebody else may do; a removal asks first. */
function RoleChoice({ person }: { person: Participant }) {
  const room = useRoom();
  const [asking, setAsking] = useState(false);
  const { participant, name, role, removed } = person;
  if (asking) {
    return (
      <span className="person-ask">
        <button
          type="button"
          className="button small danger"
          // biome-ignore lint/a11y/noAutofocus: the question is the answer to a click right here
          autoFocus
          onClick={() => {
            setAsking(false);
            void room.send({ type: "set_role", participant });
          }}
          data-testid="remove-confirm"
        >
          <UserMinus size={13} aria-hidden="true" /> Remove
        </button>
        <button type="button" className="button small" onClick={() => setAsking(false)}>
          Keep
        </button>
      </span>
    );
  }
  return (
    <select
      className="role-choice"
      aria-label={`What ${name} may do`}
      value={removed ? "removed" : role}
      onChange={(event) => {
        const chosen = event.target.value;
        if (chosen === "remove") setAsking(true);
        else void room.send({ type: "set_role", participant, role: chosen as Role });
      }}
      data-testid="role-choice"
    >
      {removed && (
        <option value="removed" disabled>
          removed
        </option>
      )}
      {ROLES.map((role) => (
        <option key={role} value={role}>
          {role}
        </option>
      ))}
      {!removed && <option value="remove">remove…</option>}
    </select>
  );
}

function Rename({ name, onDone }: { name: string; onDone: () => void }) {
  const room = useRoom();
  const [text, setText] = useState(name);
  const isChanged = text.trim() !== "" && text.trim() !== name;
  return (
    <form
      className="rename"
      onSubmit={(event) => {
        event.preventDefault();
        if (isChanged) room.rename(text.trim());
        onDone();
      }}
    >
      <label htmlFor="my-name">Your name</label>
      <input
        id="my-name"
        value={text}
        maxLength={NAME_LENGTH_MAX}
        onChange={(event) => setText(event.target.value)}
        data-testid="my-name"
      />
      <button type="submit" className="button small" disabled={!isChanged}>
        Save
      </button>
    </form>
  );
}

/** By what this browser came in, and how to go. Nothing where the server asks for nothing. */
function Entrance() {
  const room = useRoom();
  if (tokenFor(room.project) === undefined) return null;
  return (
    <div className="entrance">
      <span>
        <Eye size={13} aria-hidden="true" />{" "}
        {isGuest(room.project) ? "You came by a share link." : "This browser keeps your access."}
      </span>
      <button
        type="button"
        className="button small"
        onClick={() => {
          signOut(room.project);
          location.reload();
        }}
        data-testid="sign-out"
      >
        <LogOut size={13} aria-hidden="true" /> {hasOtherToken(room.project) ? "Use your own" : "Forget it"}
      </button>
    </div>
  );
}

/** Those who are here: oneself first, the others by name. */
function sorted(participants: { [id: string]: Participant }, me: string | undefined): Participant[] {
  const present = Object.values(participants).filter((person) => person.present && !person.removed);
  const rank = (person: Participant) => (person.participant === me ? 0 : 1);
  return present.toSorted((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
}

/** Those who are not, newest first. */
function absent(participants: { [id: string]: Participant }): Participant[] {
  const number = (person: Participant) => Number(person.participant.slice(1));
  const gone = Object.values(participants).filter((person) => !person.present || person.removed);
  return gone.toSorted((a, b) => number(b) - number(a)).slice(0, GONE_MAX);
}
