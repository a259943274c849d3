//! Documents that are meant to do harm: each is refused, and soon.

use std::{
    fmt::Write,
    sync::LazyLock,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    graphql::{document::Asked, limits::Limits, schema},
    rest::tests::simulated::Simulated,
};

fn repeated(count: usize, part: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut text, index| {
        write!(text, "{}", part(index)).unwrap();
        text
    })
}

/// Each attack, and a word of the refusal.
fn attacks() -> Vec<(&'static str, String, &'static str)> {
    let nested =
        |open: &str, close: &str, count: usize| format!("{{{}name{}}}", open.repeat(count), close.repeat(count));
    let fragments = |count: usize, uses: &str| {
        let fragment =
            |index: usize| format!("fragment F{index} on Node {{ {} }} ", uses.replace('#', &(index + 1).to_string()));
        format!(
            "{{ node(name: \"a\") {{ ...F0 }} }} {} fragment F{count} on Node {{ name }}",
            repeated(count, fragment)
        )
    };
    let doubled = |count: usize, end: &str| {
        let fragment = |index: usize| format!("fragment F{index} on Query {{ ...F{0} ...F{0} }} ", index + 1);
        format!("{} fragment F{count} on Query {{ {end} }}", repeated(count, fragment))
    };
    vec![
        ("fields 1,000 deep", nested("node(name:\"a\"){", "}", 1000), "brackets are nested"),
        ("lists 10,000 deep", format!("{{ nodes(first: {}{}) }}", "[".repeat(10_000), "]".repeat(10_000)), "brackets"),
        ("fields 19 deep", nested("node(name:\"a\"){", "}", 18), "nested 19 deep"),
        ("10,000 aliases", format!("{{{}}}", repeated(10_000, |index| format!("a{index}:__typename "))), "bytes"),
        ("200 aliases", format!("{{{}}}", repeated(200, |index| format!("a{index}:__typename "))), "200 aliases"),
        ("2,000 times the same field", format!("{{{}}}", "__typename ".repeat(2000)), "2000 fields"),
        ("a fragment in itself", fragments(1, "...F0"), "fragment F0 uses itself"),
        ("fragments in a circle", "{ node(name:\"a\") { ...A } } fragment A on Node { ...B } fragment B on Node { ...A }".into(), "uses itself"),
        ("fragments that double 100 times", fragments(100, "...F# ...F#"), "fields"),
        ("a chain of fragments with aliases", fragments(40, "a: name ...F# b: name ...F#"), "fields"),
        ("500 times 500 times 500 objects",
         "{ nodes(first: 500) { nodes { workloads(first: 500) { nodes { budgets { pods(first: 500) { nodes { name } } } } } } } }".into(),
         "objects"),
        ("a page in a variable", "query ($n: Int = 500) { nodes(first: $n) { nodes { workloads(first: $n) { nodes { name } } } } }".into(),
         "255510 objects"),
        ("plans of all nodes", "{ nodes(first: 500) { nodes { plan { counts { evict } } } } }".into(), "objects"),
        ("types of fields of types", "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }".into(), "multiplies"),
        ("the same in fragments",
         "{ __schema { types { ...T } } } fragment T on __Type { fields { type { ...U } } } fragment U on __Type { fields { name } }".into(),
         "multiplies"),
        ("the whole schema ten times",
         format!("{{{}}} fragment S on __Schema {{ types {{ name description fields {{ name }} }} }}",
                 repeated(10, |index| format!("a{index}: __schema {{ ...S }} "))), "50000 objects"),
        ("1,000 directives on a field", format!("{{ __typename {} }}", "@skip(if: false) ".repeat(1000)), "directives"),
        ("1 MB of directives", format!("{{ __typename {} }}", "@a".repeat(500_000)), "bytes"),
        ("1 MB of commas and nothing", ",".repeat(1_000_000), "bytes"),
        ("a string without an end", format!("{{ node(name: \"{}", "a".repeat(50_000)), "cannot be read"),
        ("a comment of 1 MB", format!("#{}", "{".repeat(1_000_000)), "bytes"),
        ("brackets behind an escaped end of a string",
         format!("{{ node(name: \"\"\" \\\"\"\" \"\"\") {} ", "{ a".repeat(1000)), "brackets"),
        ("nothing", String::new(), "cannot be read"),
        ("fragments that double in an operation that is not chosen", format!("query A {{ __typename }} query B {{ ...F0 }} {}", doubled(30, "__typename")), "fields"),
        ("fragments that double and end in nothing", format!("{{ ...F0 }} {}", doubled(30, "...Gone")), "there is no fragment Gone"),
        ("fragments that double and that nobody uses", format!("{{ __typename }} {}", doubled(30, "__typename")), "uses fragment F0"),
        ("plans of one node", format!("{{ node(name: \"a\") {{ {} }} }}", repeated(10, |index| format!("p{index}: plan {{ warnings }} "))), "objects"),
        ("pages of which only the end is asked for",
         format!("{{ node(name: \"a\") {{ {} }} }}", "workloads(first: 60) { pageInfo { hasNextPage } } ".repeat(300)), "objects"),
        ("300 changes", format!("mutation {{ {} }}", "cordonNode(input: { node: \"a\" }) { changed } ".repeat(300)), "changes"),
        ("the same change twice", "mutation { cordonNode(input: { node: \"a\" }) { changed } ...F } fragment F on Mutation { cordonNode(input: { node: \"a\" }) { changed } }".into(), "twice"),
        ("two streams at once", "subscription { nodeChanged { removed } b: nodeChanged { removed } }".into(), "one field"),
    ]
}

/// The operation that is chosen, where there are several.
fn chosen(query: &str) -> Option<String> {
    query.starts_with("query A ").then(|| "A".to_owned())
}

#[test]
fn hostile_documents_are_refused_before_anything_runs() {
    let limits = Limits::default();
    let built = schema::build(&limits).unwrap();
    for (attack, query, expected) in attacks() {
        let (size, operation_name) = (query.len(), chosen(&query));
        let begun = Instant::now();
        let refused = Asked { query, operation_name, ..Asked::default() }.checked(&built, &limits);
        let took = begun.elapsed();
        let error = refused.expect_err(attack);
        assert!(error.message.contains(expected), "{attack}: {}", error.message);
        println!("| {attack} | {size} | {took:.1?} | {} |", error.message);
        // Ten milliseconds in a release build; this one is not, and shares its cores with other tests. What doubles
        // thirty times would take minutes.
        assert!(took < Duration::from_millis(if cfg!(debug_assertions) { 5000 } else { 10 }), "{attack}: {took:?}");
    }
}

#[tokio::test]
async fn what_is_hostile_has_a_code_and_costs_no_more_than_a_body() {
    let app = Simulated::start().await;
    for (attack, query, expected) in attacks() {
        let answer = app.post("admin", json!({ "query": query, "operationName": chosen(&query) })).await;
        if query.len() > 64_000 {
            answer.problem(413, "RequestEntityTooLarge");
            continue;
        }
        let answer = answer.ok();
        assert_eq!(answer["data"], Value::Null, "{attack}");
        let error = &answer["errors"][0];
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(expected) && message.len() < 300, "{attack}: {error}");
        let code = match expected {
            "cannot be read" => "BadRequest",
            "one field"
            | "twice"
            | "uses itself"
            | "fragment F0 uses itself"
            | "uses fragment F0"
            | "there is no fragment Gone" => "Invalid",
            _ => "TooExpensive",
        };
        assert_eq!(error["extensions"]["code"], code, "{attack}");
    }
}

#[tokio::test]
async fn what_people_ask_is_within_the_limits() {
    let app = Simulated::start().await;
    let schema = app.ask(super::INTROSPECTION).await;
    assert_eq!(schema.get("errors"), None, "{schema}");
    assert!(schema["data"]["__schema"]["types"].as_array().unwrap().len() > 60);
    let query = "{ nodes(first: 100) { nodes { name workloads(first: 30) { nodes { name budgets { name } \
                 virtualMachineInstance { name migration { phase } } } } } } }";
    let asked = json!({ "query": query, "extensions": { "cost": true } });
    let answer = app.post("admin", asked).await.ok();
    assert_eq!(answer["extensions"]["cost"], json!({ "cost": 13_110, "limit": 15_000 }), "{answer}");
}

static BUILT: LazyLock<schema::Built> = LazyLock::new(|| schema::build(&Limits::default()).unwrap());

proptest! {
    #[test]
    fn no_text_makes_the_check_fail_otherwise_than_with_an_error(
        query in r#"(\{|\}|\(|\)|\[|\]|@|:|\$|!|\.\.\.|"|"""|\\|#|\n| |fragment|on|query|nodes|Node|name|first|é|1|-1|\PC){0,60}"#,
    ) {
        let limits = Limits::default();
        if let Err(error) = (Asked { query, ..Asked::default() }).checked(&BUILT, &limits) {
            prop_assert!(error.extensions.is_some_and(|extensions| extensions.get("code").is_some()));
        }
    }
}
