// The requests that are not part of an open room. Each shows the token this browser has, in a header.

import type { FileEntry, ModelList, Outcome, Role, RunKind } from "../protocol.ts";
import { tokenFor } from "./access.ts";

const PROJECTS = "/api/v1/projects";
/** A server on the same machine answers in milliseconds; one that takes this long is not going to. */
const ANSWER_MS_MAX = 15_000;
/** An archive may be large and the way long. */
const DOWNLOAD_MS_MAX = 300_000;

/** A refusal, or a server that does not answer. Its message is a sentence for a person. */
export class ApiError extends Error {
  /** The HTTP status; 0: there was no answer. */
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

export interface ProjectSummary {
  project: string;
  name: string;
  created_at: string;
  updated_at: string;
  head: number;
}

export interface ShareLink {
  id: string;
  role: Role;
  label?: string;
  created_at: string;
  expires_at: string;
}

/** A moment the files can be brought back to. */
export interface HistoryPoint {
  seq: number;
  at: string;
  by?: string;
  cause: "created" | "base" | "run" | "edit" | "restore";
  run?: string;
  kind?: RunKind;
  prompt?: string;
  outcome?: Outcome;
  /** Of a restore: to where. */
  to?: number;
  files: string[];
  files_changed: number;
}

export async function listProjects(): Promise<ProjectSummary[]> {
  const { projects } = (await ask(PROJECTS)) as { projects: ProjectSummary[] };
  return projects;
}

export async function createProject(name: string): Promise<string> {
  const { project } = (await ask(PROJECTS, { method: "POST", ...json({ name }) })) as { project: string };
  return project;
}

export async function deleteProject(id: string): Promise<void> {
  await ask(`${PROJECTS}/${id}`, { method: "DELETE" }, id);
}

/** The models that can be named, the one that answers otherwise, and what its users must be told. */
export async function listModels(project?: string): Promise<ModelList> {
  return (await ask("/api/v1/models", {}, project)) as ModelList;
}

export async function listShareLinks(project: string): Promise<ShareLink[]> {
  const { links } = (await ask(`${PROJECTS}/${project}/share-links`, {}, project)) as { links: ShareLink[] };
  return links;
}

/** Makes a link for guests. Its token is told this once. */
export async function makeShareLink(
  project: string,
  wanted: { role: Role; hours: number; label?: string },
): Promise<ShareLink & { token: string }> {
  const made = await ask(`${PROJECTS}/${project}/share-links`, { method: "POST", ...json(wanted) }, project);
  return made as ShareLink & { token: string };
}

export async function revokeShareLink(project: string, id: string): Promise<void> {
  await ask(`${PROJECTS}/${project}/share-links/${encodeURIComponent(id)}`, { method: "DELETE" }, project);
}

/** The address of a share link, as this page's own address reaches the server. */
export function shareUrl(project: string, token: string): string {
  return `${location.origin}/p/${project}#token=${token}`;
}

/** The moments to go back to, newest first. */
export async function listHistory(project: string, before?: number): Promise<HistoryPoint[]> {
  const query = before === undefined ? "" : `?before=${before}`;
  const answer = await ask(`${PROJECTS}/${project}/history${query}`, {}, project);
  return (answer as { points: HistoryPoint[] }).points;
}

/** The tree as it was after an event. */
export async function filesAt(project: string, seq: number): Promise<FileEntry[]> {
  const answer = await ask(`${PROJECTS}/${project}/files?at=${seq}`, {}, project);
  return (answer as { files: FileEntry[] }).files;
}

/** Hands the project's files to the browser to save. A plain link could not show the token. */
export async function downloadZip(project: string): Promise<void> {
  const response = await send(`${PROJECTS}/${project}/export.zip`, {}, project, DOWNLOAD_MS_MAX);
  const address = URL.createObjectURL(await response.blob());
  const link = Object.assign(document.createElement("a"), { href: address, download: `${project}.zip` });
  link.click();
  // The browser has begun to save by then.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

export function socketUrl(project: string): string {
  return `${location.origin.replace(/^http/, "ws")}${PROJECTS}/${project}/ws`;
}

function json(body: unknown): RequestInit {
  return { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

async function ask(url: string, init: RequestInit = {}, project?: string): Promise<unknown> {
  const response = await send(url, init, project, ANSWER_MS_MAX);
  return response.json().catch(() => null);
}

async function send(url: string, init: RequestInit, project: string | undefined, withinMs: number) {
  const token = tokenFor(project);
  const headers = new Headers(init.headers);
  if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
  let response: Response;
  try {
    response = await fetch(url, { ...init, headers, signal: AbortSignal.timeout(withinMs) });
  } catch {
    throw new ApiError(0, "The server cannot be reached.");
  }
  if (response.ok) return response;
  const body: unknown = await response.json().catch(() => null);
  const message = problem(body) ?? `The server answered with status ${response.status}.`;
  throw new ApiError(response.status, message);
}

/** The sentence of an RFC 9457 problem. */
function problem(body: unknown): string | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  const { detail, title } = body as { detail?: unknown; title?: unknown };
  return [detail, title].find((text): text is string => typeof text === "string" && text !== "");
}
