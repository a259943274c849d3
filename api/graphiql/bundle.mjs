// Bundles page.jsx and the editor's workers, and compresses what comes out into dist/. build.rs knows these files by name.
import { readFile, readdir, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";
import { getIntrospectionQuery } from "graphql";

// What may be in a page of ours, as in deny.toml.
const LICENCES = ["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"];

const options = {
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  outdir: "dist",
  assetNames: "[name]",
  format: "iife",
  jsx: "automatic",
  target: "es2022",
  // They are all in licences.txt.
  legalComments: "none",
  // The icons of the editor.
  loader: { ".ttf": "file" },
  define: { "process.env.NODE_ENV": '"production"' },
};
const page = await build({ ...options, entryPoints: { graphiql: "page.jsx" } });
const workers = await build({
  ...options,
  entryPoints: {
    "editor.worker": "monaco-editor/esm/vs/editor/editor.worker.js",
    "graphql.worker": "monaco-graphql/esm/graphql.worker.js",
    "json.worker": "monaco-editor/esm/vs/language/json/json.worker.js",
  },
});

// The folders of the packages that something of is in a bundle.
function packages(...bundles) {
  const inputs = bundles.flatMap((bundle) => Object.keys(bundle.metafile.inputs));
  const folders = inputs.map((input) => input.match(/^.*node_modules\/(@[^/]+\/)?[^/]+/)?.[0]);
  return [...new Set(folders.filter(Boolean))].sort();
}

async function licence(folder) {
  const { name, version, license, repository } = JSON.parse(await readFile(`${folder}/package.json`, "utf8"));
  if (!LICENCES.includes(license)) throw new Error(`${name} ${version} has the licence ${license}: see LICENCES in bundle.mjs`);
  const names = (await readdir(folder)).filter((file) => /^(licen[cs]e|notice|thirdpartynotices)/i.test(file)).sort();
  const texts = await Promise.all(names.map((file) => readFile(`${folder}/${file}`, "utf8")));
  // Some have their text beside their source only.
  if (!texts.length) texts.push(`See ${repository.url ?? repository}`);
  return [`${name} ${version}: ${license}`, ...texts].join("\n\n");
}

const licences = await Promise.all(packages(page, workers).map(licence));
const made = [...page.outputFiles, ...workers.outputFiles].map((file) => [basename(file.path), file.contents]);
// monaco-editor does not say whose its icons are.
const icons = "codicon.ttf: Codicons, by Microsoft, CC-BY-4.0 (https://github.com/microsoft/vscode-codicons)";
made.push(["licences.txt", `What GraphiQL on this page consists of.\n\n${icons}\n\n${licences.join(`\n\n${"=".repeat(80)}\n\n`)}`]);
// What this version asks first: a test puts it to the server.
made.push(["introspection.graphql", getIntrospectionQuery()]);
for (const [name, contents] of made) {
  const compressed = gzipSync(contents, { level: 9 });
  await writeFile(`dist/${name}.gz`, compressed);
  console.log(`${name}: ${Buffer.byteLength(contents)} bytes, ${compressed.length} compressed`);
}
