import { expect, it } from "vitest";
import type { RunInfo } from "../../protocol.ts";
import { folded, runFailure } from "./run-error.ts";

const error = { code: "unsupported", message: "exit code 56", retryable: false } as NonNullable<
  RunInfo["error"]
>;
const command = { type: "command", command: "ls", output: "", finished: true };

it("says of a command that ran and failed that it failed", () => {
  const run = { kind: "exec", steps: [{ ...command, exit_code: 56 }], error } as unknown as RunInfo;
  expect(runFailure(run)).toEqual({ title: "The command failed", text: "It ended with exit code 56." });
  expect(runFailure({ ...run, steps: [] }).title).toBe("That cannot be done");
});

it("does not repeat what a step has said", () => {
  const install = {
    type: "install",
    packages: ["no-such"],
    output: "",
    finished: true,
    error: error.message,
  };
  const run = { kind: "install", steps: [install], error } as unknown as RunInfo;
  expect(runFailure(run)).toEqual({ title: "The packages could not be installed", text: "" });
  const other = { ...run, error: { ...error, message: "took too long" } };
  expect(runFailure(other).text).toBe("took too long");
});

it("folds what npm says about a package that does not exist", () => {
  const npm =
    "npm: code E404; 404 Not Found - GET https://registry.example/no-such; 404; 404 The requested resource 'no-such@*' could not be found or you do not have permission to access it.";
  expect(folded(npm)).toEqual({ short: "There is no package “no-such” in the registry.", rest: npm });
  expect(folded(npm.replace("no-such@*", "@a/b@1")).short).toContain("“@a/b”");
});

it("keeps a short message whole, and of a long one the first sentence", () => {
  expect(folded("exit code 1")).toEqual({ short: "exit code 1" });
  const long = `It broke. ${"And more. ".repeat(30)}`.trim();
  expect(folded(long)).toEqual({ short: "It broke.", rest: long });
  expect(folded("x".repeat(400)).short).toHaveLength(150);
});
