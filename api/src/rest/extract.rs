//! What handlers take out of a request. Each refusal names the field, its value and what is allowed.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    body::{Bytes, to_bytes},
    extract::{FromRequest, FromRequestParts, Request, rejection::PathRejection},
    http::{HeaderMap, header, request::Parts},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::error::Category;
use tokio::time::timeout;

use super::{problem::Problem, reason::Reason, strict::Strict};

/// No body of this API needs more.
pub(crate) const MAX_BODY: usize = 64 * 1024;
/// A body is there within this time: the largest at 52 kbit/s. While it is awaited, it is one of the requests that are
/// answered at the same time.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// No body of this API is deeper than five levels; `serde_json` gives up at 128 with a sentence about recursion.
const MAX_DEPTH: usize = 32;

/// The body, from JSON.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

/// The parameters in the path.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

/// The query. A parameter that the operation does not know is refused by the type: `#[serde(deny_unknown_fields)]`.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        demand_json(request.headers())?;
        parse(&whole(request.into_body()).await?).map(Self)
    }
}

/// The whole of a body, which is small and there in time.
pub(super) async fn whole(body: axum::body::Body) -> Result<Bytes, Problem> {
    let bytes = timeout(BODY_WITHIN, to_bytes(body, MAX_BODY)).await.map_err(|_| late_body())?;
    bytes.map_err(|error| unread_body(&error))
}

/// Refuses a body that is not declared to be JSON.
pub(crate) fn demand_json(headers: &HeaderMap) -> Result<(), Problem> {
    let declared = headers.get(header::CONTENT_TYPE);
    let type_ = declared.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = type_.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" {
        return Ok(());
    }
    let found = if declared.is_none() { "there is no Content-Type".to_owned() } else { format!("it is {type_:?}") };
    let detail = format!("a body is sent with Content-Type: application/json, and {found}");
    Err(Problem::new(Reason::UNSUPPORTED_MEDIA_TYPE, detail))
}

fn late_body() -> Problem {
    let sentence = format!("the body was not there within {} s", BODY_WITHIN.as_secs());
    Problem::new(Reason::REQUEST_TIMEOUT, sentence)
}

fn unread_body(error: &axum::Error) -> Problem {
    use std::error::Error;

    if error.source().is_some_and(<dyn Error>::is::<http_body_util::LengthLimitError>) {
        return body_is_too_large();
    }
    Problem::bad_request(format!("the body could not be read to its end: {error}"))
}

/// The refusal of a body beyond [`MAX_BODY`].
pub(crate) fn body_is_too_large() -> Problem {
    Problem::new(Reason::REQUEST_ENTITY_TOO_LARGE, format!("a body has at most {MAX_BODY} bytes"))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::bad_request("the body is empty; a JSON object is expected"));
    }
    if depth(bytes) > MAX_DEPTH {
        return Err(Problem::bad_request(format!("the JSON of the body is more than {MAX_DEPTH} levels deep")));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let body = Strict::deserialize(&mut json);
    let body = body.map_err(|error| match error.classify() {
        Category::Data => Problem::new(Reason::INVALID, format!("the body: {}", without_place(&error))),
        _ => Problem::bad_request(format!("the body is no JSON: {error}")),
    })?;
    json.end().map_err(|error| Problem::bad_request(format!("the body is more than one JSON value: {error}")))?;
    body.read().map_err(|(path, error)| match path.to_string().as_str() {
        "." => Problem::new(Reason::INVALID, format!("the body: {error}")),
        path => Problem::new(Reason::INVALID, format!("{path}: {error}")).field(path),
    })
}

/// `serde_json` adds where it was; that says nothing to a program that made the JSON.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(cause, _)| cause).to_owned()
}

/// How deep the brackets of a JSON text are nested, whatever else is wrong with it.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        use axum::extract::path::ErrorKind;

        let rejection = match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => return Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(rejection)) => rejection.into_kind(),
            Err(other) => return Err(Problem::internal(other)),
        };
        Err(match rejection {
            ErrorKind::DeserializeError { key, message, .. } => {
                Problem::bad_request(format!("{key} in the path: {message}")).field(key)
            }
            ErrorKind::InvalidUtf8InPathParam { key } => {
                Problem::bad_request(format!("{key} in the path is no UTF-8")).field(key)
            }
            other => Problem::bad_request(format!("the path: {other}")),
        })
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn query<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(text)
        .map_err(|error| Problem::bad_request(format!("the query cannot be read: {error}")))?;
    let mut values = BTreeMap::new();
    let again = pairs.iter().find(|(name, value)| values.insert(name.as_str(), value.as_str()).is_some());
    if let Some((name, _)) = again {
        return Err(Problem::bad_request(format!("{name} is in the query more than once")).field(name));
    }
    let encoded = serde_urlencoded::Deserializer::new(text_pairs(text));
    serde_path_to_error::deserialize(encoded).map_err(|error| {
        let path = error.path().to_string();
        let cause = error.into_inner();
        match values.get(path.as_str()) {
            Some(value) => Problem::bad_request(format!("{path}={value} in the query: {cause}")).field(path),
            None => Problem::bad_request(format!("the query: {cause}")),
        }
    })
}

fn text_pairs(text: &str) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[expect(dead_code, reason = "only whether it can be read matters")]
    struct Drain {
        timeout_seconds: u32,
        ticket: Option<Ticket>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read matters")]
    struct Ticket {
        id: String,
    }

    /// The refusal of a body: its reason and detail.
    fn refused(json: &str) -> (&'static str, String) {
        let problem = parse::<Drain>(json.as_bytes()).unwrap_err();
        (problem.reason().name, problem.detail().to_owned())
    }

    #[test]
    fn a_body_that_cannot_be_used_is_refused_by_field() {
        let deep = "[".repeat(100);
        for (json, reason, detail) in [
            ("", "BadRequest", "the body is empty"),
            ("  \n", "BadRequest", "the body is empty"),
            ("{", "BadRequest", "the body is no JSON: EOF"),
            ("{}", "Invalid", "the body: missing field `timeoutSeconds`"),
            ("{}}", "BadRequest", "more than one JSON value"),
            (r#"{"timeoutSeconds": 1} 2"#, "BadRequest", "more than one JSON value"),
            (r#"{"timeoutSeconds": "1"}"#, "Invalid", "timeoutSeconds: invalid type: string \"1\", expected u32"),
            (r#"{"timeoutSeconds": -1}"#, "Invalid", "timeoutSeconds: invalid value: integer `-1`, expected u32"),
            (r#"{"timeoutSeconds": 1, "ticket": {"id": 5}}"#, "Invalid", "ticket.id: invalid type: integer `5`"),
            (r#"{"timeoutSeconds": 1, "force": true}"#, "Invalid", "force: unknown field `force`, expected"),
            (r#"{"timeoutSeconds": 1, "ticket": {"uri": 5}}"#, "Invalid", "ticket.uri: unknown field `uri`"),
            ("[]", "Invalid", "the body: invalid type: sequence, expected an object"),
            (r#"{"timeoutSeconds": 1, "ticket": ["a"]}"#, "Invalid", "ticket: invalid type: sequence"),
            (r#"{"timeoutSeconds": 1, "timeoutSeconds": 2}"#, "Invalid", "the body: timeoutSeconds is there twice"),
            ("null", "Invalid", "the body: invalid type: null, expected an object"),
            (&deep, "BadRequest", "the JSON of the body is more than 32 levels deep"),
            ("{\"timeoutSeconds\": \u{0}}", "BadRequest", "the body is no JSON"),
        ] {
            let (found_reason, found) = refused(json);
            assert_eq!(found_reason, reason, "{json}: {found}");
            assert!(
                found.contains(detail) && (reason == "BadRequest" || !found.contains(" at line 1")),
                "{json}: {found}"
            );
        }
        let problem = parse::<Drain>(br#"{"timeoutSeconds": 1, "ticket": {"id": 5}}"#).unwrap_err();
        assert!(String::from_utf8_lossy(&problem.json(None)).contains(r#""field":"ticket.id""#));
    }

    #[test]
    fn brackets_in_strings_are_no_depth() {
        for (json, expected) in [("{}", 1), (r#"{"a": "[[[\"[[["}"#, 1), ("[[{}]]", 3), ("]]]]{", 1), ("", 0)] {
            assert_eq!(depth(json.as_bytes()), expected, "{json}");
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Filter {
        limit: Option<u16>,
        ready: Option<bool>,
    }

    #[test]
    fn a_query_that_cannot_be_used_is_refused_by_name_and_value() {
        let read = query::<Filter>("limit=5&ready=true").unwrap();
        assert_eq!((read.limit, read.ready), (Some(5), Some(true)));
        for (text, detail) in [
            ("limit=many", "limit=many in the query: invalid digit"),
            ("limit=-1", "limit=-1 in the query: invalid digit"),
            ("limit=70000", "limit=70000 in the query: number too large"),
            ("ready=yes", "ready=yes in the query: provided string was not `true` or `false`"),
            ("redy=true", "redy=true in the query: unknown field `redy`, expected `limit` or `ready`"),
            ("limit=1&limit=2", "limit is in the query more than once"),
        ] {
            let problem = query::<Filter>(text).unwrap_err();
            assert!(problem.detail().contains(detail), "{text}: {}", problem.detail());
        }
    }

    /// Milliseconds; many seconds if each name were compared with each.
    #[test]
    fn a_query_of_many_names_takes_no_time() {
        let names = (0..20_000).map(|number| format!("a{number}")).collect::<Vec<_>>().join("&");
        let begun = Instant::now();
        assert!(query::<BTreeMap<String, String>>(&names).is_ok());
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
}
