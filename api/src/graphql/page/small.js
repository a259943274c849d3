"use strict";

const field = (id) => document.getElementById(id);

async function ask() {
  const show = (text) => { field("answer").textContent = text; };
  let variables;
  try {
    variables = JSON.parse(field("variables").value || "{}");
  } catch (error) {
    return show(`Variables: ${error.message}`);
  }
  const headers = { "Content-Type": "application/json" };
  const token = field("token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  try {
    const body = JSON.stringify({ query: field("query").value, variables, extensions: { cost: true } });
    const response = await fetch("/graphql", { method: "POST", headers, body });
    show(JSON.stringify(await response.json(), null, 2));
  } catch (error) {
    show(`No answer: ${error.message}`);
  }
}

field("form").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
field("query").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    ask();
  }
});
