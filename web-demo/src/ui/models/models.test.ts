import { expect, it, vi } from "vitest";

vi.stubGlobal("localStorage", { getItem: () => null });
const { contextOf, grouped, isDemo, priceOf } = await import("./models.ts");

const model = (name: string, more = {}) => ({ model: name, ...more });

it("never takes an unknown price for none", () => {
  expect(priceOf(model("a/b"))).toBe("price unknown");
  expect(priceOf(model("a/b", { price: { input: 0, output: 0 } }))).toBe("free");
  expect(priceOf(model("a/b", { price: { input: 2_000_000, output: 12_500_000 } }))).toBe(
    "$2 in, $12.50 out per million tokens",
  );
});

it("says how much a model can take in, where it is known", () => {
  expect(contextOf(model("a/b"))).toBe("");
  expect(contextOf(model("a/b", { context_tokens_max: 200_000 }))).toBe("200K context");
  expect(contextOf(model("a/b", { context_tokens_max: 1_048_576 }))).toBe("1M context");
});

it("finds models by words, and keeps each provider's together", () => {
  const models = ["a/one", "b/two", "a/three"].map((name) => model(name));
  const names = (search: string) =>
    grouped(models, search).map(([provider, models]) => [provider, models.map(({ model }) => model)]);
  expect(names("")).toEqual([
    ["a", ["a/one", "a/three"]],
    ["b", ["b/two"]],
  ]);
  expect(names("A thr")).toEqual([["a", ["a/three"]]]);
  expect(names("none")).toEqual([]);
});

it("has no price for canned answers", () => {
  expect(isDemo(undefined)).toBe(false);
  expect(isDemo("openai/demo")).toBe(false);
  expect(priceOf(model("demo/scripted"))).toBe("costs nothing");
});
