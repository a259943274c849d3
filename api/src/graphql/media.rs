//! The media types of answers, and the statuses that go with them.
//!
//! With `application/graphql-response+json` the status says whether there is `data`, as GraphQL over HTTP wants it.
//! With `application/json` clients expect `200` for what GraphQL refuses, and what the frame refuses is a problem as
//! everywhere.

use async_graphql::{Response as Answer, ServerError, Value};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::document::refused_at;
use crate::rest::{GRAPHQL_RESPONSE_JSON, Json, Problem, Reason};

/// The media type of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/json`, where nobody has asked for another.
    Json,
    /// `application/graphql-response+json`, for who names it.
    GraphQlResponse,
}

/// An answer without data.
#[derive(Serialize)]
struct Refused<'a> {
    errors: &'a [ServerError],
}

impl Media {
    /// The one that a client accepts, and likes best.
    pub(super) fn accepted(headers: &HeaderMap) -> Result<Self, Problem> {
        let values = headers.get_all(header::ACCEPT).iter().map(|value| value.to_str().unwrap_or_default());
        let accept = values.collect::<Vec<_>>().join(",");
        if accept.trim().is_empty() {
            return Ok(Self::Json);
        }
        // Who only says that anything will do is one of those who have always been given JSON.
        let named = weight(&accept, &[GRAPHQL_RESPONSE_JSON]).unwrap_or_default();
        let json = weight(&accept, &["application/json", "application/*", "*/*"]).unwrap_or_default();
        if named > 0.0 && named >= json {
            Ok(Self::GraphQlResponse)
        } else if json > 0.0 {
            Ok(Self::Json)
        } else {
            let sentence = format!("Accept: {accept:?} has neither {GRAPHQL_RESPONSE_JSON} nor application/json");
            Err(Problem::new(Reason::NOT_ACCEPTABLE, sentence))
        }
    }

    /// The response.
    pub(super) fn response(self, answered: Result<Answer, Problem>) -> Result<Response, Problem> {
        match (self, answered) {
            (Self::Json, answered) => answered.map(|answer| Json(answer).into_response()),
            (Self::GraphQlResponse, Ok(answer)) if answer.data == Value::Null => Ok(refused(&answer.errors)),
            (Self::GraphQlResponse, Ok(answer)) => {
                let mut response = Json(answer).into_response();
                if response.status() == StatusCode::OK {
                    set_type(&mut response);
                }
                Ok(response)
            }
            (Self::GraphQlResponse, Err(problem)) => Ok(refused(&[refused_at(&problem, None)])),
        }
    }
}

/// Without data, with the status of the first problem. What the library finds wrong in a document is none of ours.
fn refused(errors: &[ServerError]) -> Response {
    let invalid = || Problem::new(Reason::INVALID, errors.first().map_or("", |error| &error.message));
    let problem = errors.iter().find_map(|error| error.source::<Problem>()).cloned().unwrap_or_else(invalid);
    // Strings and numbers: this does not fail.
    let body = serde_json::to_vec(&Refused { errors }).unwrap_or_default();
    let mut response = problem.into_response();
    *response.body_mut() = Body::from(body);
    set_type(&mut response);
    response
}

fn set_type(response: &mut Response) {
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(GRAPHQL_RESPONSE_JSON));
}

/// The weight that a client gives to a type: that of the first of these ranges that it names (RFC 9110, section
/// 12.5.1).
fn weight(accept: &str, ranges: &[&str]) -> Option<f32> {
    let named = accept.split(',').filter_map(|part| {
        let mut parameters = part.split(';').map(str::trim);
        let range = parameters.next()?;
        let weight = parameters.find_map(|parameter| parameter.strip_prefix("q=").or(parameter.strip_prefix("Q=")));
        Some((range, weight.map_or(1.0, |weight| weight.parse().unwrap_or_default())))
    });
    let named: Vec<(&str, f32)> = named.collect();
    ranges
        .iter()
        .find_map(|range| named.iter().find(|(other, _)| other.eq_ignore_ascii_case(range)).map(|(_, weight)| *weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_the_type_of_graphql_is_given_it_and_all_others_json() {
        use Media::{GraphQlResponse, Json};

        for (accept, expected) in [
            ("", Some(Json)),
            ("*/*", Some(Json)),
            ("application/*", Some(Json)),
            ("application/json", Some(Json)),
            ("text/html, */*;q=0.8", Some(Json)),
            ("application/graphql-response+json", Some(GraphQlResponse)),
            ("application/json, application/graphql-response+json", Some(GraphQlResponse)),
            ("application/graphql-response+json; charset=utf-8, application/json; q=0.9", Some(GraphQlResponse)),
            ("application/graphql-response+json;q=0.5, application/json", Some(Json)),
            ("application/graphql-response+json;q=0, */*", Some(Json)),
            ("application/json;q=0, */*", None),
            ("text/html", None),
            ("application/graphql-response+json;q=0", None),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            match Media::accepted(&headers) {
                Ok(media) => assert_eq!(Some(media), expected, "{accept}"),
                Err(problem) => assert_eq!((problem.status().as_u16(), None), (406, expected), "{accept}"),
            }
        }
        assert_eq!(Media::accepted(&HeaderMap::new()).unwrap(), Json);
    }
}
