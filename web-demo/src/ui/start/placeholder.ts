import { isDemo } from "../models/models.ts";

/** An example of a prompt that the model can answer; until it is known, one that each of them can. */
export function placeholderFor(model: string | undefined): string {
  if (model === undefined || isDemo(model)) return "A notes app with markdown…";
  return "A habit tracker with streaks and a calendar…";
}
