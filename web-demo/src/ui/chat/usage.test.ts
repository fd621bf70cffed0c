import { expect, it, vi } from "vitest";

vi.stubGlobal("localStorage", { getItem: () => null });
const { costOf, isFree, tokensOf, totalWords, usageParts, usageWords } = await import("./usage.ts");

it("never takes an unknown cost for none", () => {
  expect(costOf(undefined)).toBe("cost unknown");
  expect(costOf(0)).toBe("$0");
  expect(costOf(1)).toBe("less than $0.0001");
  expect(costOf(4_200_000)).toBe("$0.0042");
  expect(costOf(12_304_000_000)).toBe("$12.30");
});

it("counts all that was read and written, and says when nobody counted", () => {
  expect(tokensOf({})).toBeUndefined();
  expect(tokensOf({ output_tokens: 5 })).toBe(5);
  const usage = {
    input_tokens: 1,
    cache_read_tokens: 2,
    cache_write_1h_tokens: 3,
    output_tokens: 4,
    reasoning_tokens: 1,
  };
  expect(tokensOf(usage)).toBe(10);
  expect(usageParts(usage).map(([, tokens]) => tokens)).toEqual([1, 2, 3, 4, 1]);
  expect(usageWords({})).toBe("tokens unknown · cost unknown");
  expect(usageWords({ output_tokens: 1_840, estimated: true })).toBe("≈ 1.8K tokens · cost unknown");
});

it("says of a project what is known and that there is more", () => {
  const total = (calls: number, unknown: number, known: number) =>
    totalWords({ usage: {}, calls, calls_of_unknown_cost: unknown, known_cost_nano_usd: known });
  expect(total(0, 0, 0)).toBe("");
  expect(total(2, 0, 1e9)).toBe("$1.00");
  expect(total(2, 1, 1e9)).toBe("$1.00 + unknown");
  expect(total(2, 2, 0)).toBe("cost unknown");
});

it("has nothing to count where only canned answers were given", () => {
  const total = { usage: {}, calls: 2, calls_of_unknown_cost: 0, known_cost_nano_usd: 0 };
  expect(isFree(total, ["demo/scripted", "demo/scripted"])).toBe(true);
  expect(isFree(total, ["demo/scripted", "ollama/free"])).toBe(false);
  expect(isFree({ ...total, known_cost_nano_usd: 5 }, ["demo/scripted"])).toBe(false);
  expect(isFree({ ...total, calls_of_unknown_cost: 1 }, ["demo/scripted"])).toBe(false);
});
