import { CommandError } from "@cobuild/client";
import type { ErrorBody, ErrorCode } from "../protocol.ts";

/** What each code means to the person in front of the page. */
const MEANINGS: Record<ErrorCode, string> = {
  bad_request: "The request was not understood",
  unauthenticated: "You need to sign in",
  forbidden: "You are not allowed to do that here",
  not_found: "That does not exist (any more)",
  conflict: "That does not fit the project’s present state",
  stale_base: "The file has changed meanwhile",
  too_large: "That is too large",
  unsupported: "That cannot be done",
  rate_limited: "That was too fast",
  queue_full: "Too many prompts are waiting already",
  quota_exceeded: "The budget is used up",
  cancelled: "It was cancelled",
  model_unauthorized: "The model’s vendor refused the server’s key",
  model_failed: "The model did not finish its answer",
  model_overloaded: "The model is overloaded at the moment",
  sandbox_lost: "There is no sandbox",
  sandbox_timeout: "The sandbox took too long",
  internal: "Something went wrong on the server",
};

export function meaning(error: ErrorBody): string {
  return MEANINGS[error.code] ?? "Something went wrong";
}

/** Any failure as a headline and a sentence. */
export function explain(error: unknown): { title: string; text?: string } {
  if (error instanceof CommandError) return { title: meaning(error.body), text: error.body.message };
  return { title: error instanceof Error ? error.message : "Something went wrong" };
}
