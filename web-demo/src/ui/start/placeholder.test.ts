import { expect, it, vi } from "vitest";

vi.stubGlobal("localStorage", { getItem: () => null });
const { placeholderFor } = await import("./placeholder.ts");

it("proposes nothing that the demo has no answer for", () => {
  expect(placeholderFor("demo/scripted")).toMatch(/notes app with markdown/);
  expect(placeholderFor(undefined)).toBe(placeholderFor("demo/scripted"));
  expect(placeholderFor("anthropic/some")).not.toBe(placeholderFor(undefined));
});
