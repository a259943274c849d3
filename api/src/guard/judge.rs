//! The rule against foreign web pages.
//!
//! `Origin`: <https://fetch.spec.whatwg.org/#origin-header>, `Sec-Fetch-*`: <https://www.w3.org/TR/fetch-metadata/>.

use std::{collections::BTreeSet, net::SocketAddr};

use axum::http::{
    HeaderMap, HeaderName, Method, Uri,
    header::{HOST, ORIGIN, UPGRADE},
    uri::Authority,
};

use crate::health::PATHS;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// The names that lead to this machine and nowhere else, whatever a name server says.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// The names by which a server is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// It listens on loopback: loopback, and these (without port, in lower case). A name that a page's owner has
    /// pointed at
    /// 127.0.0.1 is none of them.
    Loopback(BTreeSet<String>),
    /// It listens on the network, and was given these.
    Network(BTreeSet<String>),
    /// Any: who listens on the network is called by names and addresses that it does not know.
    Any,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It was sent to another name.
    #[error(
        "this server is not called {host:?}: use 127.0.0.1 or localhost (`careen serve --allowed-host` adds a name)"
    )]
    Host {
        /// The name.
        host: String,
    },
    /// It does not say to which name it was sent, or names several.
    #[error("the request has to name one host (header Host)")]
    NoHost,
    /// A web page of another origin sent it, and it could change something.
    #[error("a web page of {origin:?} must not send this: only pages of this server may")]
    Origin {
        /// The origin; `null` for pages that have none.
        origin: String,
    },
    /// The browser says that a page of another site or origin is behind it.
    #[error("a web page of another origin must not send this (Sec-Fetch-Site: {site})")]
    Site {
        /// What the browser says.
        site: String,
    },
}

impl Hosts {
    /// Those of a server that listens on that address: on the network any, unless names are given.
    #[must_use]
    pub fn of(listen: SocketAddr, names: impl IntoIterator<Item = String>) -> Self {
        let names: BTreeSet<String> = names.into_iter().map(|name| name.to_ascii_lowercase()).collect();
        match (listen.ip().is_loopback(), names.is_empty()) {
            (true, _) => Self::Loopback(names),
            (false, false) => Self::Network(names),
            (false, true) => Self::Any,
        }
    }

    fn include(&self, authority: &Authority) -> bool {
        match self {
            Self::Any => true,
            Self::Loopback(names) | Self::Network(names) => {
                let host = authority.host().to_ascii_lowercase();
                LOOPBACK.contains(&host.as_str()) || names.contains(&host)
            }
        }
    }
}

/// Whether a request may be answered. A GET changes nothing, so links to it work from anywhere; but no page of another
/// origin loads it as a part of its own.
pub fn judge(method: &Method, uri: &Uri, headers: &HeaderMap, hosts: &Hosts) -> Result<(), Refused> {
    let may_change = !(*method == Method::GET || *method == Method::HEAD || *method == Method::OPTIONS);
    // A WebSocket is a GET that other pages may send, and a lasting way to send more.
    let may_act = may_change || headers.contains_key(UPGRADE);
    // The kubelet and Prometheus call a pod by its address, whatever names the server was given. What they are told is
    // no secret.
    let is_probe = matches!(hosts, Hosts::Network(_)) && !may_act && PATHS.contains(&uri.path());
    if !is_probe {
        let own = own_authority(uri, headers)?;
        if !hosts.include(&own) {
            return Err(Refused::Host { host: own.to_string() });
        }
        if may_act && let Some(origin) = values(headers, &ORIGIN).find(|origin| !is_of(origin, &own)) {
            return Err(Refused::Origin { origin });
        }
    }
    let foreign_site = values(headers, &SEC_FETCH_SITE).find(|site| !matches!(site.as_str(), "same-origin" | "none"));
    match foreign_site {
        Some(site) if may_act || !is_followed_link(headers) => Err(Refused::Site { site }),
        _ => Ok(()),
    }
}

/// The name that the request was sent to.
fn own_authority(uri: &Uri, headers: &HeaderMap) -> Result<Authority, Refused> {
    let mut named = headers.get_all(HOST).iter();
    match (named.next(), named.next()) {
        (Some(host), None) => host.to_str().ok().and_then(|host| host.parse().ok()).ok_or(Refused::NoHost),
        // HTTP/2 has it in `:authority`.
        (None, _) => uri.authority().cloned().ok_or(Refused::NoHost),
        (Some(_), Some(_)) => Err(Refused::NoHost),
    }
}

/// Whether an origin is that of this server. The scheme may differ: what is in front of it may do TLS.
fn is_of(origin: &str, own: &Authority) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(own.as_str()))
}

/// Whether the browser opens the answer as a page of its own. What is loaded into a frame is no such page.
fn is_followed_link(headers: &HeaderMap) -> bool {
    values(headers, &SEC_FETCH_MODE).any(|mode| mode == "navigate")
        && values(headers, &SEC_FETCH_DEST).all(|dest| dest == "document")
}

fn values(headers: &HeaderMap, name: &HeaderName) -> impl Iterator<Item = String> {
    headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> Hosts {
        Hosts::of("127.0.0.1:8080".parse().unwrap(), [])
    }

    /// Judges a request that is given as `METHOD /path`, with headers as `name: value`.
    fn judged(hosts: &Hosts, request: &str, lines: &[&str]) -> Result<(), Refused> {
        let (method, path) = request.split_once(' ').unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        judge(&method.parse().unwrap(), &path.parse().unwrap(), &headers, hosts)
    }

    /// The same, sent to 127.0.0.1:8080: what is found wrong, by its kind.
    fn sent(request: &str, lines: &[&str]) -> &'static str {
        let lines = [&["host: 127.0.0.1:8080"], lines].concat();
        match judged(&loopback(), request, &lines) {
            Ok(()) => "passes",
            Err(Refused::Host { .. } | Refused::NoHost) => "host",
            Err(Refused::Origin { .. }) => "origin",
            Err(Refused::Site { .. }) => "site",
        }
    }

    #[test]
    fn the_host_is_loopback_by_any_port_and_name() {
        for host in ["127.0.0.1", "127.0.0.1:1", "localhost:8080", "LocalHost", "[::1]", "[::1]:8080"] {
            assert_eq!(judged(&loopback(), "GET /", &[&format!("host: {host}")]), Ok(()), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.", "10.0.0.1:8080", "[::2]", "127.0.0.2"] {
            let refused = judged(&loopback(), "GET /api/v1/nodes", &[&format!("host: {host}")]);
            assert_eq!(refused, Err(Refused::Host { host: host.to_owned() }));
        }
        for none in [&[][..], &["host: "], &["host: a b"], &["host: localhost", "host: evil.example"]] {
            assert_eq!(judged(&loopback(), "GET /", none), Err(Refused::NoHost), "{none:?}");
        }
        assert_eq!(judged(&loopback(), "GET http://localhost/", &[]), Ok(()));
    }

    #[test]
    fn a_server_with_a_name_is_called_by_it_too() {
        let named = Hosts::of("127.0.0.1:8080".parse().unwrap(), ["Careen.example.com".to_owned()]);
        for host in ["careen.example.com", "CAREEN.example.com:443", "127.0.0.1"] {
            assert_eq!(judged(&named, "GET /", &[&format!("host: {host}")]), Ok(()), "{host}");
        }
        judged(&named, "GET /", &["host: example.com"]).unwrap_err();
        let network: SocketAddr = "0.0.0.0:8080".parse().unwrap();
        assert_eq!(judged(&Hosts::of(network, []), "GET /", &["host: 10.1.2.3:8080"]), Ok(()));
        judged(&Hosts::of(network, ["a.example".to_owned()]), "GET /", &["host: 10.1.2.3"]).unwrap_err();
    }

    #[test]
    fn the_kubelet_and_prometheus_call_a_pod_by_its_address() {
        let named = Hosts::of("0.0.0.0:8080".parse().unwrap(), ["a.example".to_owned()]);
        for path in ["/livez", "/readyz", "/metrics"] {
            for host in [&["host: 10.1.2.3:8080"][..], &[]] {
                assert_eq!(judged(&named, &format!("GET {path}"), host), Ok(()), "{path} {host:?}");
                assert_eq!(judged(&named, &format!("HEAD {path}"), host), Ok(()), "{path} {host:?}");
            }
            for other in [format!("POST {path}"), format!("GET {path}/x"), format!("GET /x{path}")] {
                judged(&named, &other, &["host: 10.1.2.3"]).unwrap_err();
            }
            // What else is asked of a request is asked of these too.
            let page = ["host: 10.1.2.3", "sec-fetch-site: cross-site"];
            assert!(matches!(judged(&named, &format!("GET {path}"), &page), Err(Refused::Site { .. })));
            judged(&named, &format!("GET {path}"), &["host: 10.1.2.3", "upgrade: websocket"]).unwrap_err();
        }
    }

    #[test]
    fn on_loopback_nobody_is_answered_under_a_foreign_name() {
        let named = Hosts::of("127.0.0.1:8080".parse().unwrap(), ["a.example".to_owned()]);
        for hosts in [&loopback(), &named] {
            judged(hosts, "GET /metrics", &["host: evil.example"]).unwrap_err();
        }
    }

    #[test]
    fn programs_and_own_pages_pass() {
        for (request, headers) in [
            ("GET /readyz", &[][..]),
            ("POST /graphql", &[]),
            ("DELETE /api/v1/nodes/node02/maintenance", &[]),
            ("GET /graphql", &["upgrade: websocket"]),
            ("POST /graphql", &["origin: http://127.0.0.1:8080", "sec-fetch-site: same-origin"]),
            ("GET /graphql", &["upgrade: websocket", "origin: https://127.0.0.1:8080"]),
            ("GET /docs", &["sec-fetch-site: none", "sec-fetch-mode: navigate"]),
        ] {
            assert_eq!(sent(request, headers), "passes", "{request} {headers:?}");
        }
    }

    #[test]
    fn what_could_change_something_is_refused_to_foreign_origins() {
        let foreign =
            ["null", "http://evil.example", "http://127.0.0.1:3000", "http://127.0.0.1", "http://localhost:8080", "x"];
        for origin in foreign {
            let origin = format!("origin: {origin}");
            for method in ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "LINK"] {
                assert_eq!(sent(&format!("{method} /graphql"), &[&origin]), "origin", "{method} {origin}");
            }
            assert_eq!(sent("GET /graphql", &["upgrade: websocket", &origin]), "origin", "{origin}");
            // It changes nothing, and the page cannot read the answer.
            assert_eq!(sent("GET /graphql", &[&origin]), "passes", "{origin}");
        }
        assert_eq!(sent("POST /", &["origin: http://127.0.0.1:8080", "origin: null"]), "origin");
    }

    #[test]
    fn other_sites_may_only_link() {
        let navigate = "sec-fetch-mode: navigate";
        for (request, site, more, expected) in [
            ("POST /", "cross-site", &[navigate][..], "site"),
            ("POST /", "same-site", &[], "site"),
            ("POST /", "anything", &[], "site"),
            ("POST /", "none", &[], "passes"),
            ("GET /", "cross-site", &["upgrade: websocket", "sec-fetch-mode: websocket"], "site"),
            ("GET /", "cross-site", &["upgrade: websocket", navigate], "site"),
            ("GET /", "cross-site", &[], "site"),
            ("GET /", "cross-site", &["sec-fetch-mode: no-cors", "sec-fetch-dest: image"], "site"),
            ("GET /", "same-site", &["sec-fetch-mode: cors"], "site"),
            ("OPTIONS /", "cross-site", &["sec-fetch-mode: cors"], "site"),
            ("GET /", "cross-site", &[navigate], "passes"),
            ("GET /", "cross-site", &[navigate, "sec-fetch-dest: document"], "passes"),
            ("GET /", "cross-site", &[navigate, "sec-fetch-dest: iframe"], "site"),
        ] {
            let site = format!("sec-fetch-site: {site}");
            let headers = [&[site.as_str()], more].concat();
            assert_eq!(sent(request, &headers), expected, "{request} {headers:?}");
        }
    }

    #[test]
    fn the_four_attacks_of_a_foreign_page_are_refused_by_old_and_new_browsers() {
        let origin = "origin: http://evil.example";
        let site = "sec-fetch-site: cross-site";
        for (attack, request, headers) in [
            ("a POST without a body", "POST /api/v1/nodes/node02/cordon", &["content-length: 0"][..]),
            ("a form", "POST /graphql", &["content-type: application/x-www-form-urlencoded"]),
            ("a fetch that needs no preflight", "POST /graphql", &["content-type: text/plain"]),
            ("a WebSocket", "GET /graphql", &["upgrade: websocket", "connection: upgrade"]),
        ] {
            assert_eq!(sent(request, headers), "passes", "{attack}, sent by a program");
            assert_eq!(sent(request, &[headers, &[origin]].concat()), "origin", "{attack}");
            assert_eq!(sent(request, &[headers, &["origin: null"]].concat()), "origin", "{attack}");
            assert_eq!(sent(request, &[headers, &[site]].concat()), "site", "{attack}");
            assert_ne!(sent(request, &[headers, &[origin, site]].concat()), "passes", "{attack}");
        }
    }
}
