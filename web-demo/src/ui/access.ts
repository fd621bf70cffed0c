// The token this browser shows to the server: taken out of the address, kept, never put into an address again.
//
// It is kept in local storage, so that a second tab and tomorrow work too; previews have origins of their own and cannot
// read it. A link to one project counts for that project only, before whatever counts for the whole server.

import { read, remove, write } from "./storage.ts";

const KEY = "cobuild.token";
/** How a share link's token begins; it is good for one project. */
const SHARE_PREFIX = "share_";
/** As long as the server looks at. */
const TOKEN_LENGTH_MAX = 16 * 1024;
const PROJECT_PATH = /^\/p\/([A-Za-z0-9_-]{1,64})(?:\/|$)/;

/** What is kept when storage is forbidden: it lasts as long as the page. */
const unstored = new Map<string, string>();

/** Keeps the token of `#token=…` and takes it out of the address. True: there was one. */
export function takeTokenFromAddress(): boolean {
  const token = tokenOf(location.hash);
  if (token === undefined) return false;
  history.replaceState(history.state, "", location.pathname + location.search);
  keepToken(token, PROJECT_PATH.exec(location.pathname)?.[1]);
  return true;
}

/** Keeps a token that was met at a project's address, or at the server's. */
export function keepToken(token: string, project: string | undefined): void {
  if (project !== undefined) keep(keyOf(project), token);
  const isForOneProject = token.startsWith(SHARE_PREFIX);
  // Opened at a project's address it may still be good for more, but not instead of what is known to be.
  if (!isForOneProject && (project === undefined || kept(KEY) === undefined)) keep(KEY, token);
}

/** The token for a project, or for what is about no project. */
export function tokenFor(project?: string): string | undefined {
  return (project === undefined ? undefined : kept(keyOf(project))) ?? kept(KEY);
}

/** Whether the project is open by a token of its own while another one counts for the whole server. */
export function hasOtherToken(project: string): boolean {
  const own = kept(keyOf(project));
  const other = kept(KEY);
  return own !== undefined && other !== undefined && own !== other;
}

export function isGuest(project: string): boolean {
  return tokenFor(project)?.startsWith(SHARE_PREFIX) ?? false;
}

/** Forgets the project's own token; what counts for the whole server stays. */
export function forgetProjectToken(project: string): void {
  drop(keyOf(project));
}

/** Forgets what the project was opened by, wherever that is kept. */
export function signOut(project?: string): void {
  const token = tokenFor(project);
  if (project !== undefined) drop(keyOf(project));
  if (kept(KEY) === token || project === undefined) drop(KEY);
}

/** The project and token of a link that somebody pasted, or the token alone. */
export function parseLink(text: string): { token: string; project?: string } | undefined {
  const pasted = text.trim();
  const hash = pasted.indexOf("#");
  const token = hash === -1 ? checked(pasted) : tokenOf(pasted.slice(hash));
  if (token === undefined) return undefined;
  const path = hash === -1 ? "" : pasted.slice(0, hash).replace(/^[a-z]+:\/\/[^/]*/i, "");
  const project = PROJECT_PATH.exec(path)?.[1];
  return project === undefined ? { token } : { token, project };
}

function tokenOf(hash: string): string | undefined {
  return checked(new URLSearchParams(hash.slice(1)).get("token") ?? "");
}

/** What may be a token: visible ASCII of a sensible length. */
function checked(token: string): string | undefined {
  return /^[\x21-\x7e]+$/.test(token) && token.length <= TOKEN_LENGTH_MAX ? token : undefined;
}

function keyOf(project: string): string {
  return `${KEY}.${project}`;
}

function kept(key: string): string | undefined {
  return read(key) ?? unstored.get(key);
}

function keep(key: string, token: string): void {
  if (!write(key, token)) unstored.set(key, token);
}

function drop(key: string): void {
  unstored.delete(key);
  remove(key);
}
