// The protocol client: framework-free, without dependencies, and without knowledge of the page that uses it.

export { type Change, type ClientOptions, type Command, type Connection, ProjectClient } from "./client.ts";
export { CommandError, type Reply, type Unanswered } from "./outbox.ts";
export type * from "./protocol.ts";
export { PROTOCOL_VERSION } from "./protocol.ts";
export { randomId } from "./random-id.ts";
export { emptyState, reduce } from "./reducer.ts";
