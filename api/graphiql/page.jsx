// GraphiQL on this server: it asks /graphql, and nothing else.
import { useGraphiQLActions } from "@graphiql/react";
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import { createClient } from "graphql-ws";
import { createRoot } from "react-dom/client";

import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-history/style.css";
import "graphiql/graphiql.css";
import "./page.css";

const PATH = "/graphql";
const QUESTION = `# Ctrl+Enter asks. Subscriptions are followed over a WebSocket.
{
  nodes(first: 20) {
    nodes {
      name
      ready
      schedulable
      maintenance { name phase reason drainProgress blocking { name reason message since } }
    }
  }
}
`;

// The editor thinks in workers, each a file of its own.
globalThis.MonacoEnvironment = {
  getWorker: (_, label) => new Worker(`${PATH}/${["graphql", "json"].includes(label) ? label : "editor"}.worker.js`),
};

// Here and nowhere else: GraphiQL would keep a header in the browser's storage if it were asked to.
let token = "";
const authorization = () => (token ? { Authorization: `Bearer ${token}` } : {});

const socket = createClient({
  url: `${location.origin.replace(/^http/, "ws")}${PATH}`,
  connectionParams: authorization,
});
const fetcher = createGraphiQLFetcher({
  url: PATH,
  fetch: (url, request) => fetch(url, { ...request, headers: { ...request.headers, ...authorization() } }),
  wsClient: socket,
  enableIncrementalDelivery: false,
});

function Token() {
  const { introspect } = useGraphiQLActions();
  const take = ({ currentTarget }) => {
    const typed = currentTarget.value.trim();
    if (typed === token) return;
    token = typed;
    // What is followed is followed on as who that is.
    socket.terminate();
    introspect();
  };
  return (
    <label className="careen-token">
      Bearer token; it stays in this page
      <input
        type="password"
        autoComplete="off"
        onBlur={take}
        onKeyDown={(event) => event.key === "Enter" && take(event)}
      />
    </label>
  );
}

createRoot(document.getElementById("graphiql")).render(
  <GraphiQL fetcher={fetcher} defaultQuery={QUESTION} isHeadersEditorEnabled={false} showPersistHeadersSettings={false}>
    <GraphiQL.Logo>
      <Token />
    </GraphiQL.Logo>
  </GraphiQL>,
);
