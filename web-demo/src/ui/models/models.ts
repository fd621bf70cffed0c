// Which models there are, and which one the person in front of this browser wants.

import { useCallback, useEffect, useState } from "react";
import type { ModelEntry, ModelList } from "../../protocol.ts";
import { listModels } from "../api.ts";
import { explain } from "../errors.ts";
import { createSignal } from "../signal.ts";
import { read, remove, write } from "../storage.ts";

const KEY = "cobuild.model";

/** The model to ask; `undefined`: whatever the server's default is. */
export const chosenModel = createSignal<string | undefined>(read(KEY) ?? undefined);

export function chooseModel(model: string | undefined): void {
  chosenModel.set(model);
  if (model === undefined) remove(KEY);
  else write(KEY, model);
}

export interface Models {
  list: ModelList | undefined;
  failure: string | undefined;
  load: () => void;
}

/** The server's list, fetched when first needed; the server itself remembers it for a while. */
export function useModels(project: string | undefined, wanted: boolean): Models {
  const [list, setList] = useState<ModelList>();
  const [failure, setFailure] = useState<string>();
  const load = useCallback(() => {
    setFailure(undefined);
    listModels(project).then(setList, (error) => setFailure(explain(error).title));
  }, [project]);
  useEffect(() => {
    if (wanted) load();
  }, [wanted, load]);
  return { list, failure, load };
}

/** "$2 in, $10 out per million tokens". A price nobody knows is not free. */
export function priceOf({ model, price }: ModelEntry): string {
  if (isDemo(model)) return "costs nothing";
  if (!price) return "price unknown";
  if (price.input === 0 && price.output === 0) return "free";
  return `${dollars(price.input)} in, ${dollars(price.output)} out per million tokens`;
}

function dollars(microDollars: number): string {
  const amount = microDollars / 1_000_000;
  return `$${amount >= 100 || Number.isInteger(amount) ? Math.round(amount) : amount.toFixed(2)}`;
}

/** "200K tokens"; empty when unknown. */
export function contextOf({ context_tokens_max }: ModelEntry): string {
  if (context_tokens_max === undefined) return "";
  const thousands = context_tokens_max / 1_000;
  return thousands >= 1_000
    ? `${Math.round(thousands / 100) / 10}M context`
    : `${Math.round(thousands)}K context`;
}

/** The models whose names have all the words, each provider's together, in the server's order. */
export function grouped(models: ModelEntry[], search: string): [provider: string, models: ModelEntry[]][] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const groups = new Map<string, ModelEntry[]>();
  for (const model of models) {
    const name = model.model.toLowerCase();
    if (!words.every((word) => name.includes(word))) continue;
    const provider = model.model.slice(0, model.model.indexOf("/"));
    groups.set(provider, [...(groups.get(provider) ?? []), model]);
  }
  return [...groups];
}

/** Whether answers of this model are canned: nothing is read, counted or paid. */
export function isDemo(model: string | undefined): boolean {
  return model?.startsWith("demo/") ?? false;
}
