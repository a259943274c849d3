//! GraphiQL, from `api/graphiql`. `build.rs` sets `graphiql` if it is there.

use super::part::Part;
#[cfg(graphiql)]
use super::part::{Content, SCRIPT, STYLE};

pub(super) const HTML: &str = include_str!("../../../graphiql/page.html");

/// All of it comes from here, and it asks only here, over HTTP and by WebSocket (`'self'` includes that). Its editor
/// sets styles from scripts, has its icons in a font and draws with images that are data; its workers are scripts.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    connect-src 'self'; font-src 'self'; img-src data:; base-uri 'none'; form-action 'none'";

#[cfg(not(graphiql))]
pub(super) const PARTS: &[Part] = &[];

#[cfg(graphiql)]
macro_rules! part {
    ($name:literal, $type_:expr) => {
        Part {
            name: $name,
            type_: $type_,
            content: Content::Gzip(include_bytes!(concat!("../../../graphiql/dist/", $name, ".gz"))),
        }
    };
}

#[cfg(graphiql)]
pub(super) const PARTS: &[Part] = &[
    part!("codicon.ttf", "font/ttf"),
    part!("editor.worker.js", SCRIPT),
    part!("graphiql.css", STYLE),
    part!("graphiql.js", SCRIPT),
    part!("graphql.worker.js", SCRIPT),
    // What it asks first; here for a test and for who wants to see it.
    part!("introspection.graphql", "text/plain; charset=utf-8"),
    part!("json.worker.js", SCRIPT),
    part!("licences.txt", "text/plain; charset=utf-8"),
];
