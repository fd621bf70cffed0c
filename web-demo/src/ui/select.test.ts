import { expect, it } from "vitest";
import type { Participant } from "../protocol.ts";
import { presentOwners } from "./select.ts";

it("names the owners who are here, each once", () => {
  const person = (participant: string, more: Partial<Participant>): [string, Participant] => [
    participant,
    { participant, name: "Terminal", role: "owner", present: true, ...more } as Participant,
  ];
  const participants = Object.fromEntries([
    person("p1", { present: false }),
    person("p2", { name: "Bea" }),
    person("p3", { name: "Ada" }),
    person("p4", { name: "Bea" }),
    person("p5", { name: "Cy", role: "viewer" }),
    person("p6", { name: "Di", removed: true }),
  ]);
  expect(presentOwners({ participants })).toEqual(["Ada", "Bea"]);
});
