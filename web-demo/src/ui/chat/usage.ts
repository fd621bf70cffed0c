// What models have consumed, in words. What is unknown is said to be unknown: it is never nothing.

import type { Usage, UsageTotal } from "../../protocol.ts";
import { count } from "../format.ts";
import { isDemo } from "../models/models.ts";

/** All tokens that count: fresh and cached input, and output. `undefined`: nobody said. */
export function tokensOf(usage: Usage): number | undefined {
  const known = [inputOf(usage), usage.output_tokens].filter((tokens) => tokens !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, tokens) => sum + tokens, 0);
}

function inputOf(usage: Usage): number | undefined {
  const known = [
    usage.input_tokens,
    usage.cache_read_tokens,
    usage.cache_write_tokens,
    usage.cache_write_1h_tokens,
  ].filter((tokens) => tokens !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, tokens) => sum + tokens, 0);
}

/** "$0.0042", "$12.30", "less than $0.0001"; "cost unknown" when nobody knows. */
export function costOf(nanoUsd: number | undefined): string {
  if (nanoUsd === undefined) return "cost unknown";
  const dollars = nanoUsd / 1e9;
  if (dollars === 0) return "$0";
  if (dollars < 0.0001) return "less than $0.0001";
  return `$${dollars.toFixed(dollars < 1 ? 4 : 2)}`;
}

/** "≈ 1.8K tokens · $0.0042" */
export function usageWords(usage: Usage): string {
  const tokens = tokensOf(usage);
  const words = tokens === undefined ? "tokens unknown" : count(tokens, "token");
  return `${usage.estimated ? "≈ " : ""}${words} · ${costOf(usage.cost_nano_usd)}`;
}

/** The same, in all its parts. */
export function usageParts(usage: Usage): [name: string, tokens: number][] {
  const parts: [string, number | undefined][] = [
    ["Read by the model", usage.input_tokens],
    ["Read from its cache", usage.cache_read_tokens],
    ["Written to its cache", sum(usage.cache_write_tokens, usage.cache_write_1h_tokens)],
    ["Written by the model", usage.output_tokens],
    ["of that, reasoning", usage.reasoning_tokens],
  ];
  return parts.filter((part): part is [string, number] => part[1] !== undefined);
}

function sum(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined && b === undefined ? undefined : (a ?? 0) + (b ?? 0);
}

/** Whether all that is known of was answered without a model: then there is nothing to count. */
export function isFree(total: UsageTotal, models: (string | undefined)[]): boolean {
  return total.calls_of_unknown_cost === 0 && total.known_cost_nano_usd === 0 && models.every(isDemo);
}

/** What a project has cost: at least what is known, where some of it is not. */
export function totalWords(total: UsageTotal): string {
  if (total.calls === 0) return "";
  if (total.calls_of_unknown_cost === 0) return costOf(total.known_cost_nano_usd);
  if (total.calls_of_unknown_cost === total.calls) return "cost unknown";
  return `${costOf(total.known_cost_nano_usd)} + unknown`;
}
