import { createSignal } from "../signal.ts";

/** A prompt proposed by another part of the page; the composer takes it, and the person sends it. */
export const draft = createSignal("");
