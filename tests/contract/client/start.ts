// Starts a maintenance, follows it and ends it, with a client that knows nothing but the contract.

import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./generated/careen.js";

type Maintenance = components["schemas"]["Maintenance"];

const client = createClient<paths>({ baseUrl: process.env.CAREEN ?? "" });
const node = { params: { path: { node: "node04" } } };

const started = await client.PUT("/api/v1/nodes/{node}/maintenance", {
  ...node,
  body: { reason: "A new disk", ticket: { id: "CHG0031" }, drain: { vmThatCannotMigrate: "Block" } },
});
assert.equal(started.response.status, 201, JSON.stringify(started.error));

let maintenance: Maintenance | undefined;
for (let look = 0; look < 300 && maintenance?.phase !== "Succeeded"; look++) {
  await setTimeout(100);
  maintenance = (await client.GET("/api/v1/nodes/{node}/maintenance", node)).data;
}
assert.equal(maintenance?.phase, "Succeeded");
assert.equal(maintenance?.ticket?.id, "CHG0031");

const refused = await client.DELETE("/api/v1/nodes/{node}/maintenance", {
  params: { ...node.params, query: { ticket: "CHG0099" } },
});
assert.equal(refused.error?.reason, "TicketMismatch");
const stopped = await client.DELETE("/api/v1/nodes/{node}/maintenance", node);
assert.equal(stopped.response.status, 202);
console.log(`a generated client took ${maintenance.node} out of service, and put it back`);
