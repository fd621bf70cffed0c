// What the preview shows instead of the app, as a person wants to read it and as a prompt wants to quote it.

import type { PreviewError } from "../../protocol.ts";

/** Longest piece of an error that is worth quoting in a prompt. */
const QUOTE_LENGTH_MAX = 1_500;
/** What compilers and the dev server say; a page only repeats it from the dev server's overlay. */
const COMPILER =
  /\bTransform failed\b|\[PARSE_ERROR\]|\[plugin:|Pre-transform error|Failed to (?:resolve import|parse source)|\bBuild failed\b/;
/** How to put the overlay away, and where in the dev server it was thrown: nothing about the app. */
const ASIDE =
  /server\.hmr\.overlay|^\s*(?:Click outside, press Esc|vite\.config\.\w+\.?$|at .*(?:node_modules|node:))/;
/** Says only that there is something to say. */
const PREFACE = /^(?:Transform|Build) failed with \d+ errors?:?$/;
const FRAME = /[\u2500-\u257f]+/g;

/** A headline for the error. */
export function titleOf({ message, file, source }: PreviewError): string {
  const what = COMPILER.test(message)
    ? "The app does not compile"
    : source === "page"
      ? "The app has thrown an error"
      : "The preview shows an error";
  return file ? `${what}: ${file}` : what;
}

/** The message with its code frame, without what is not about the app. */
export function wordsOf({ message }: PreviewError): string {
  const lines = message.split("\n").filter((line) => !ASIDE.test(line) && !PREFACE.test(line.trim()));
  return (
    lines
      .join("\n")
      .replace(/\n{3,}/g, "\n\n")
      .trim() || message.trim()
  );
}

/** The prompt that asks for it to be mended. */
export function promptFor(error: PreviewError): string {
  const lines = wordsOf(error)
    .split("\n")
    .map((line) => line.replace(FRAME, " ").replace(/\s+/g, " ").trim())
    .filter((line) => line !== "");
  const sentence = `Fix this error${error.file ? ` in ${error.file}` : ""}:`;
  return `${sentence}\n${lines.join("\n").slice(0, QUOTE_LENGTH_MAX)}`;
}
