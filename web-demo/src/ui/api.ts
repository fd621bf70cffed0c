// The few requests that are not about one open project.

import type { ModelNotice } from "../protocol.ts";

const PROJECTS = "/api/v1/projects";
/** A server on the same machine answers in milliseconds; one that takes this long is not going to. */
const ANSWER_MS_MAX = 15_000;

export interface ProjectSummary {
  project: string;
  name: string;
  created_at: string;
  updated_at: string;
  head: number;
}

export async function listProjects(): Promise<ProjectSummary[]> {
  const { projects } = (await request(PROJECTS)) as { projects: ProjectSummary[] };
  return projects;
}

export async function createProject(name: string): Promise<string> {
  const body = JSON.stringify({ name });
  const headers = { "content-type": "application/json" };
  const { project } = (await request(PROJECTS, { method: "POST", headers, body })) as { project: string };
  return project;
}

export async function deleteProject(id: string): Promise<void> {
  await request(`${PROJECTS}/${id}`, { method: "DELETE" });
}

/** The model that answers when a prompt names none, and what its users must be told. */
export async function defaultModel(): Promise<ModelNotice> {
  const models = (await request("/api/v1/models")) as { default: ModelNotice };
  return models.default;
}

export function exportUrl(project: string): string {
  return `${PROJECTS}/${project}/export.zip`;
}

export function socketUrl(project: string): string {
  return `${location.origin.replace(/^http/, "ws")}${PROJECTS}/${project}/ws`;
}

/** Fails with an `Error` whose message is a sentence for a person. */
async function request(url: string, init: RequestInit = {}): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(url, { ...init, signal: AbortSignal.timeout(ANSWER_MS_MAX) });
  } catch {
    throw new Error("The server cannot be reached.");
  }
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok) throw new Error(problem(body) ?? `The server answered with status ${response.status}.`);
  return body;
}

/** The sentence of an RFC 9457 problem. */
function problem(body: unknown): string | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  const { detail, title } = body as { detail?: unknown; title?: unknown };
  return [detail, title].find((text): text is string => typeof text === "string" && text !== "");
}
