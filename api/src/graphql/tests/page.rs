//! The page to ask by hand, in whichever of its two forms this was built with.

use axum::http::StatusCode;

use crate::rest::tests::simulated::Simulated;

#[tokio::test]
async fn a_browser_is_shown_a_page_that_loads_nothing_from_elsewhere() {
    let app = Simulated::start().await;
    let page = app.send_with("", "GET /graphql", None, &[("accept", "text/html,*/*;q=0.8")]).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; script-src 'self'"));
    assert!(!page.text().contains("://"), "{}", page.text());
    let text = page.text();
    let parts: Vec<_> = text.split('"').filter(|text| text.starts_with("/graphql/")).collect();
    assert!(parts.len() >= 2, "{text}");
    for part in parts {
        let part = format!("GET {part}");
        for coding in ["gzip", "identity"] {
            let answer = app.send_with("", &part, None, &[("accept-encoding", coding)]).await;
            assert_eq!(answer.status, StatusCode::OK, "{part}");
            assert_eq!(answer.headers.contains_key("content-encoding"), coding == "gzip", "{part}");
            assert_eq!(answer.headers.get_all("vary").iter().count(), 1, "{part}");
            assert_eq!(answer.header("content-security-policy"), page.header("content-security-policy"));
            assert_eq!(answer.header("cache-control"), "no-cache");
            let again = [("accept-encoding", coding), ("if-none-match", answer.header("etag"))];
            let again = app.send_with("", &part, None, &again).await;
            assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0), "{part}");
        }
    }
}

#[tokio::test]
async fn the_page_is_graphiql_if_it_was_there_when_this_was_built() {
    let app = Simulated::start().await;
    let page = app.send_with("", "GET /graphql", None, &[("accept", "text/html")]).await.text();
    assert_eq!(page.contains("GraphiQL is not built in"), !cfg!(graphiql), "{page}");
    assert_eq!(page.contains("<div id=\"graphiql\">"), cfg!(graphiql), "{page}");
}

/// What the script asks for besides, too.
#[tokio::test]
#[cfg_attr(not(graphiql), ignore = "api/graphiql/build has not run before the build")]
async fn whatever_was_made_of_graphiql_is_served() {
    let app = Simulated::start().await;
    let made = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/graphiql/dist")).unwrap();
    let made: Vec<_> = made.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let parts: Vec<_> = made.iter().filter_map(|name| name.strip_suffix(".gz")).collect();
    assert!(parts.contains(&"graphiql.js"), "{parts:?}");
    for part in parts {
        assert_eq!(app.send("", &format!("GET /graphql/{part}"), None).await.status, StatusCode::OK, "{part}");
    }
}

#[tokio::test]
#[cfg_attr(not(graphiql), ignore = "api/graphiql/build has not run before the build")]
async fn what_graphiql_asks_first_is_within_the_limits() {
    let app = Simulated::start().await;
    let question = app.send("", "GET /graphql/introspection.graphql", None).await;
    assert_eq!(question.status, StatusCode::OK, "GraphiQL is not built in");
    let answer = app.ask(&question.text()).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    assert_eq!(answer["data"]["__schema"]["subscriptionType"]["name"], "Subscription");
}
