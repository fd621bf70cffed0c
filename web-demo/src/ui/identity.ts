// Who this browser is in a room: a secret random text, and a name.

import { randomId } from "@cobuild/client";
import { read, write } from "./storage.ts";

const CLIENT_KEY = "cobuild.client";
const NAME_KEY = "cobuild.name";
/** As many characters of a name as the server looks at. */
export const NAME_LENGTH_MAX = 64;

const FIRST = [
  "Amber",
  "Brisk",
  "Calm",
  "Clever",
  "Coral",
  "Fern",
  "Golden",
  "Indigo",
  "Lucky",
  "Mellow",
  "Quiet",
  "Sunny",
];
const SECOND = [
  "Badger",
  "Crane",
  "Dolphin",
  "Falcon",
  "Fox",
  "Heron",
  "Lynx",
  "Otter",
  "Owl",
  "Panda",
  "Robin",
  "Wren",
];

export function clientId(): string {
  return remembered(CLIENT_KEY, randomId);
}

export function displayName(): string {
  return remembered(NAME_KEY, () => `${pick(FIRST)} ${pick(SECOND)}`);
}

export function setDisplayName(name: string): void {
  write(NAME_KEY, name);
}

function remembered(key: string, make: () => string): string {
  const known = read(key);
  if (known) return known;
  const made = make();
  write(key, made);
  return made;
}

function pick(words: string[]): string {
  return words[Math.floor(Math.random() * words.length)] ?? "";
}
