// Why a run went wrong, in words that fit on three lines; the rest is there to unfold.

import type { RunInfo } from "../../protocol.ts";
import { meaning } from "../errors.ts";

/** About three lines of the chat. */
const SHORT_LENGTH_MAX = 150;

export interface RunFailure {
  title: string;
  text: string;
}

/** What a step has said already is not repeated. */
export function runFailure({ kind, steps, error }: Pick<RunInfo, "kind" | "steps" | "error">): RunFailure {
  const said = error && steps.some((step) => step.error === error.message);
  const text = said ? "" : (error?.message ?? "");
  if (kind === "exec") {
    const command = steps.findLast((step) => step.type === "command");
    const code = command?.type === "command" ? command.exit_code : undefined;
    if (code) return { title: "The command failed", text: `It ended with exit code ${code}.` };
  }
  if (kind === "install" && steps.some((step) => step.type === "install" && step.error))
    return { title: "The packages could not be installed", text };
  return { title: error ? meaning(error) : "Something went wrong", text };
}

/** The sentence to read, and what is said besides. */
export function folded(message: string): { short: string; rest?: string } {
  const text = message.trim();
  const missing =
    /\bE?404\b/.test(text) && /'(@?[^'@\s]+)(?:@[^']*)?' (?:could not be found|is not in)/.exec(text);
  if (missing) return { short: `There is no package “${missing[1]}” in the registry.`, rest: text };
  if (text.length <= SHORT_LENGTH_MAX && text.split("\n").length <= 3) return { short: text };
  const first = text.split(/\n|(?<=[.!?]) |; /, 1)[0]?.trim() ?? "";
  const short =
    first.length > SHORT_LENGTH_MAX ? `${first.slice(0, SHORT_LENGTH_MAX - 1).trimEnd()}…` : first;
  return { short, rest: text };
}
