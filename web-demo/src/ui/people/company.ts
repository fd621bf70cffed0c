// The others in the room: coming and going, where they are, and being followed by this page.

import type { Change, ProjectClient } from "@cobuild/client";
import type { FilePath, ParticipantId, Presence, ProjectState } from "../../protocol.ts";
import type { TabId } from "../project/Tabs.tsx";
import { nameOf } from "../select.ts";
import { toast } from "../toasts.ts";

/** Where the page is to go. */
export interface Destination {
  tab?: TabId;
  file?: FilePath;
  line?: number;
  route?: string;
}

/** What a pane knows of where this page is. Fields that are absent stay what they were. */
export interface Standpoint {
  tab?: TabId;
  file?: FilePath | undefined;
  line?: number | undefined;
  route?: string;
  typing?: boolean;
}

export class Company {
  readonly #client: ProjectClient;
  readonly #go: (destination: Destination) => void;
  #standpoint: Standpoint = {};
  #following: ParticipantId | undefined;

  constructor(client: ProjectClient, go: (destination: Destination) => void) {
    this.#client = client;
    this.#go = go;
  }

  get following(): ParticipantId | undefined {
    return this.#following;
  }

  stand(at: Standpoint): void {
    this.#standpoint = { ...this.#standpoint, ...at };
    this.#say();
  }

  follow(participant: ParticipantId | undefined): void {
    if (this.#following === participant) return;
    this.#following = participant;
    this.#say();
    this.#goAlong();
  }

  changed(change: Change, before: ProjectState): void {
    if (change.type === "presence") this.#goAlong();
    // What is replayed after an absence is history, not news.
    if (change.type !== "event" || this.#client.connection.phase !== "live") return;
    const { event } = change;
    const me = this.#client.welcome?.participant;
    if (event.type === "participant_joined" && event.participant !== me) {
      const known = before.participants[event.participant];
      if (!known?.present) toast({ tone: "quiet", title: `${event.name} is here` });
      else if (known.name !== event.name)
        toast({ tone: "quiet", title: `${known.name} is now called ${event.name}` });
    }
    if (event.type === "participant_left") {
      const name = nameOf(before, event.participant);
      if (event.participant !== me) toast({ tone: "quiet", title: `${name} has left` });
      if (event.participant === this.#following) this.follow(undefined);
    }
    if (event.type === "role_changed" && event.participant === me && event.role) {
      const title = `You are now ${event.role === "viewer" ? "a viewer" : `an ${event.role}`}`;
      toast({ tone: "info", title, text: `${nameOf(before, event.by)} has changed your role.` });
    }
  }

  #goAlong(): void {
    const there = this.#following && this.#client.presence.get(this.#following);
    if (there) this.#go(placeOf(there));
  }

  #say(): void {
    const { tab, file, line, route, typing } = this.#standpoint;
    const presence: Presence = {
      ...(tab === "code" && file !== undefined && { file }),
      ...(tab === "code" && file !== undefined && line !== undefined && { line }),
      ...(tab === "preview" && { route: route ?? "/" }),
      ...(typing && { typing }),
      ...(this.#following !== undefined && { following: this.#following }),
    };
    this.#client.setPresence(presence);
  }
}

function placeOf(presence: Presence): Destination {
  const { file, line, route } = presence;
  if (file !== undefined) return { tab: "code", file, ...(line !== undefined && { line }) };
  return route === undefined ? {} : { tab: "preview", route };
}

/** Where somebody is, in words. */
export function whereabouts(presence: Presence | undefined): string {
  if (!presence) return "";
  const { file, line, route, typing } = presence;
  if (typing) return "writing a prompt";
  if (file !== undefined) return `${file.slice(file.lastIndexOf("/") + 1)}${line ? `:${line}` : ""}`;
  if (route !== undefined) return route === "/" ? "looks at the preview" : `preview ${route}`;
  return "";
}
