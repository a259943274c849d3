//! A page to ask by hand, without a network: GraphiQL if `api/graphiql/build` had made it when the server was built,
//! else a small one that says so.

mod graphiql;
mod part;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};

use part::{Content, Part};

/// What a browser is shown.
#[derive(Clone, Copy, Debug)]
struct Page {
    html: &'static str,
    /// Its Content-Security-Policy.
    policy: &'static str,
    parts: &'static [Part],
}

const SMALL: Page = Page {
    html: include_str!("small.html"),
    // All of it comes from here, and it asks only here.
    policy: "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
             form-action 'none'",
    parts: &[
        Part { name: "page.js", type_: part::SCRIPT, content: Content::Text(include_str!("small.js")) },
        Part { name: "page.css", type_: part::STYLE, content: Content::Text(include_str!("small.css")) },
    ],
};

/// Which page, with these parts of GraphiQL.
const fn page_with(graphiql: &'static [Part]) -> Page {
    if graphiql.is_empty() { SMALL } else { Page { html: graphiql::HTML, policy: graphiql::POLICY, parts: graphiql } }
}

const PAGE: Page = page_with(graphiql::PARTS);

/// The parts of the page. No token is needed: they say nothing about the cluster.
pub(super) fn routes() -> Router {
    PAGE.parts.iter().fold(Router::new(), |routes, part| {
        let kept = Arc::new(part.kept());
        let answer = async move |headers: HeaderMap| with_policy(kept.answer(&headers));
        routes.route(&format!("/graphql/{}", part.name), get(answer))
    })
}

/// Whether a browser wants to show something.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|type_| type_.trim().starts_with("text/html"))
}

/// The page.
pub(super) fn page() -> Response {
    with_policy(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], PAGE.html).into_response())
}

/// Of a worker, the policy that counts is its own.
fn with_policy(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE.policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the parts that a page asks for.
    fn asked_for(page: &Page) -> Vec<&'static str> {
        page.html.split('"').filter_map(|text| text.strip_prefix("/graphql/")).collect()
    }

    #[test]
    fn without_graphiql_the_page_is_the_small_one_and_says_how_to_have_it() {
        let page = page_with(&[]);
        assert!(page.html.contains("GraphiQL is not built in"), "{}", page.html);
        assert!(page.html.contains("api/graphiql/build"), "{}", page.html);
        assert!(asked_for(&page).iter().all(|name| page.parts.iter().any(|part| part.name == *name)));
    }

    #[test]
    fn with_graphiql_the_page_is_that() {
        const PARTS: &[Part] = &[Part { name: "graphiql.js", type_: part::SCRIPT, content: Content::Text("") }];
        let page = page_with(PARTS);
        assert!(page.html.contains("<title>Careen: GraphiQL</title>"), "{}", page.html);
        assert_eq!(asked_for(&page), ["licences.txt", "graphiql.css", "graphiql.js"]);
        assert_eq!(page.parts.len(), 1);
    }

    #[test]
    fn either_page_loads_nothing_from_elsewhere_and_runs_no_script_of_its_own() {
        for page in [SMALL, page_with(&[Part { name: "", type_: "", content: Content::Text("") }])] {
            assert!(!page.html.contains("://"), "{}", page.html);
            assert!(page.policy.starts_with("default-src 'none'; script-src 'self'; "), "{}", page.policy);
            assert!(page.html.matches("<script").count() == page.html.matches("<script src=\"/graphql/").count());
        }
    }

    #[test]
    fn graphiql_is_whole_if_it_is_built_in() {
        assert_eq!(cfg!(graphiql), !graphiql::PARTS.is_empty());
        assert!(asked_for(&PAGE).iter().all(|name| PAGE.parts.iter().any(|part| part.name == *name)));
    }
}
