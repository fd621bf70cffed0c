import { folded } from "./run-error.ts";

/** A message of at most three lines; what a tool said besides is there to unfold. */
export function ErrorText({ text }: { text: string }) {
  const { short, rest } = folded(text);
  return (
    <>
      <p>{short}</p>
      {rest !== undefined && (
        <details className="error-rest">
          <summary>Details</summary>
          <pre>{rest}</pre>
        </details>
      )}
    </>
  );
}
