//! Sets `graphiql` if `api/graphiql/build` has made GraphiQL, so that the server has it in itself.

use std::path::Path;

/// Where it is.
const FOLDER: &str = "graphiql/dist";

/// What there has to be, each compressed.
const FILES: [&str; 8] = [
    "codicon.ttf",
    "editor.worker.js",
    "graphiql.css",
    "graphiql.js",
    "graphql.worker.js",
    "introspection.graphql",
    "json.worker.js",
    "licences.txt",
];

fn main() {
    println!("cargo::rustc-check-cfg=cfg(graphiql)");
    println!("cargo::rerun-if-changed=build.rs");
    // The folder is always there (it has a .gitignore): one that is not would have this run with every build.
    println!("cargo::rerun-if-changed={FOLDER}");
    if FILES.iter().all(|file| Path::new(FOLDER).join(format!("{file}.gz")).is_file()) {
        println!("cargo::rustc-cfg=graphiql");
    }
}
