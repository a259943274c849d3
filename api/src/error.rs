//! How a command fails: one line on stderr, and an exit status.

#[cfg(feature = "demo")]
use std::path::PathBuf;
use std::{io, net::SocketAddr, process::ExitCode, time::Duration};

use careen_core::cluster::ConnectError;

#[cfg(feature = "demo")]
use crate::demo::Unproven;
use crate::{notify::NotifyError, tls::TlsError};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no connection to a cluster.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The address to listen on cannot be had.
    #[error("cannot listen on {address}: {source}; name another address with --listen")]
    Listen { address: SocketAddr, source: io::Error },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nobody can be told what becomes of maintenances.
    #[error(transparent)]
    Notify(#[from] NotifyError),
    /// Tokens would go over the network as they are.
    #[error(
        "will not listen on {address} without TLS: name a certificate with --tls-certificate and --tls-key, \
         or say with --behind-tls-proxy that something in front of it does TLS"
    )]
    InTheClear { address: SocketAddr },
    /// The environment variable that says what is logged does not parse.
    #[error("RUST_LOG={filter:?} is not a log filter: {message}; an example: info,careen_core=debug")]
    LogFilter { filter: String, message: String },
    /// The threads of the server cannot be started.
    #[error("cannot start the server's threads: {0}")]
    Runtime(#[source] io::Error),
    /// The signals that end the server cannot be caught.
    #[error("cannot wait for signals: {0}")]
    Signals(#[source] io::Error),
    /// A part of the server ended although nobody had asked it to.
    #[error("the {part} ended by itself{}: this is a fault of Careen; the log above says more", because(.message.as_deref()))]
    Ended { part: &'static str, message: Option<String> },
    /// The server was told to stop, and a part did not.
    #[error("was told to stop, and the {parts} did not within {} s; the Lease of this replica runs out by itself", .after.as_secs())]
    DidNotStop { parts: String, after: Duration },
    /// What was to be printed could not be.
    #[error("cannot write to stdout: {0}")]
    Output(#[source] io::Error),
    /// The CustomResourceDefinition could not be written as YAML.
    #[error("cannot write the CustomResourceDefinition as YAML: {0}; this is a fault of Careen")]
    Yaml(#[from] serde_saphyr::ser_error::Error),
    /// The GraphQL schema does not fit together.
    #[error("the GraphQL schema does not fit together: {0}; this is a fault of Careen")]
    Schema(String),
    /// The kubeconfig of the demo cannot be written.
    #[cfg(feature = "demo")]
    #[error("cannot write the kubeconfig {}: {source}; TMPDIR names another folder", path.display())]
    Kubeconfig { path: PathBuf, source: io::Error },
    /// The cluster of the demo does not do as it should.
    #[cfg(feature = "demo")]
    #[error("the demo cannot {what}: {message}; this is a fault of Careen")]
    Demo { what: &'static str, message: String },
    /// It was ended before the story was.
    #[cfg(feature = "demo")]
    #[error("the story was not told to its end: the demo was asked to stop")]
    StoryInterrupted,
    /// The story came out otherwise.
    #[cfg(feature = "demo")]
    #[error("the story did not come out as it should: {0}")]
    Story(#[from] Unproven),
}

impl Error {
    /// Tells the user, and says what the exit status is.
    pub(crate) fn tell(&self) -> ExitCode {
        print_line(&self.to_string());
        ExitCode::FAILURE
    }
}

fn because(message: Option<&str>) -> String {
    message.map(|message| format!(" ({message})")).unwrap_or_default()
}

/// Prints a sentence on stderr as one line, whatever libraries have put into it.
#[expect(clippy::print_stderr, reason = "the one place where a command says why it failed")]
pub(crate) fn print_line(sentence: &str) {
    eprintln!("careen: {}", in_one_line(sentence));
}

/// Line breaks, and the blanks around them, become one blank.
fn in_one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_several_lines_becomes_one() {
        assert_eq!(in_one_line("bad YAML:\n\n   1 | {\r\n     ^ here\n"), "bad YAML: 1 | { ^ here");
    }
}
