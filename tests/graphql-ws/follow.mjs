// Follows the maintenance of a node with the npm package graphql-ws, and prints what it sees, a JSON object a line:
// node follow.mjs ws://127.0.0.1:8080/graphql TOKEN NODE
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [url, token, node] = process.argv.slice(2);
const say = (line) => console.log(JSON.stringify(line));

const client = createClient({
  url,
  webSocketImpl: WebSocket,
  connectionParams: () => ({ Authorization: `Bearer ${token}` }),
  retryAttempts: Infinity,
  // A server that is away refuses the connection, which is no close event.
  shouldRetry: () => true,
  retryWait: () => new Promise((resolve) => setTimeout(resolve, 200)),
  on: {
    connected: () => say({ connected: true }),
    closed: (event) => say({ closed: event.code ?? null }),
  },
});

client.subscribe(
  {
    query: `subscription ($node: String!) {
      maintenanceProgress(node: $node) { maintenance { uid phase node { schedulable } } }
    }`,
    variables: { node },
  },
  {
    next: ({ data, errors }) => say(errors ? { errors } : { seen: data.maintenanceProgress.maintenance }),
    error: (error) => {
      say({ error: String(error?.message ?? JSON.stringify(error)) });
      process.exit(1);
    },
    complete: () => process.exit(0),
  },
);
