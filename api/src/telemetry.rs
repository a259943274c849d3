//! The log: on stderr, text for a terminal, else one JSON object a line.
//!
//! Nothing secret is logged: Careen logs no request and no object whole, and what libraries log below `info` (kube
//! logs every request, and rustls every handshake) stays off unless `RUST_LOG` names them.

use std::{
    env,
    io::{self, IsTerminal},
};

use tracing_subscriber::EnvFilter;

use crate::{args::LogFormat, error::Error};

/// Libraries whose details are theirs: `RUST_LOG=debug` means Careen's. kube tells of every request and every watch
/// that fails; whoever sent it knows better what that means, and says it once.
///
/// What may hold a token is quiet at every level: the text of an answer that kube cannot read (Kubernetes repeats the
/// token of a `TokenReview` in it), and the messages of a WebSocket (the first has the client's token).
const LIBRARIES: [(&str, &str); 8] = [
    ("kube_client", "kube_client=info,kube_client::client=off"),
    ("tungstenite", "tungstenite=info"),
    ("tokio_tungstenite", "tokio_tungstenite=info"),
    ("kube_runtime", "kube_runtime=info,kube_runtime::watcher=off"),
    ("hyper_util", "hyper_util=info"),
    ("hyper", "hyper=info"),
    ("rustls", "rustls=info"),
    ("tower", "tower=info"),
];

/// Starts to log.
pub(crate) fn start(format: Option<LogFormat>) -> Result<(), Error> {
    let filter = filter(&env::var("RUST_LOG").unwrap_or_default())?;
    let terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(terminal).init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).init(),
    }
    Ok(())
}

fn filter(text: &str) -> Result<EnvFilter, Error> {
    let quiet = LIBRARIES.into_iter().filter(|(library, _)| !text.contains(library)).map(|(_, directives)| directives);
    // What comes later wins.
    let directives = Some("info").into_iter().chain(quiet).chain(Some(text)).collect::<Vec<_>>().join(",");
    let parsed = EnvFilter::builder().parse(directives);
    parsed.map_err(|error| Error::LogFilter { filter: text.to_owned(), message: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_quiet_unless_they_are_named() {
        let directives = |text| filter(text).unwrap().to_string();
        for (text, there, not_there) in [
            ("", ",info", "debug"),
            ("", "kube_client=info", "debug"),
            ("trace", "kube_client::client=off", "kube_client=trace"),
            ("trace", ",tungstenite=info", ",tungstenite=trace"),
            ("debug", ",debug", ",info"),
            ("debug", "kube_client=info", "kube_client=debug"),
            ("careen_core=debug", ",info", ",debug"),
            ("kube_client=debug", "kube_client=debug", "kube_client=info"),
        ] {
            let directives = format!(",{}", directives(text));
            assert!(directives.contains(there) && !directives.contains(not_there), "{text:?} became {directives}");
        }
    }

    #[test]
    fn a_filter_that_does_not_parse_is_refused_by_name() {
        let error = filter("careen=loud").unwrap_err().to_string();
        assert!(error.contains("RUST_LOG") && error.contains("careen=loud"), "{error}");
    }
}
