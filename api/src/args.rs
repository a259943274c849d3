//! The command line and its environment variables.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, process::ExitCode};

use axum::http::uri::Authority;
use careen_core::names;
use clap::{Parser, ValueEnum, builder::NonEmptyStringValueParser, error::ErrorKind};

use crate::error;

/// Takes Kubernetes nodes out of service and puts them back, without losing a virtual machine.
#[derive(Debug, Parser)]
#[command(name = "careen", bin_name = "careen", version, subcommand_required = true, arg_required_else_help = false)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Run the server: carries out the cluster's `NodeMaintenance` resources until it is told to stop.
    Serve(Box<ServeArgs>),
    /// Show what Careen does on a Kubernetes cluster in memory: node02 goes into maintenance and comes back.
    #[cfg(feature = "demo")]
    Demo(DemoArgs),
    /// Print the `NodeMaintenance` CustomResourceDefinition as YAML, for `kubectl apply -f -`.
    Crd,
    /// Print the contract of the REST service as JSON: OpenAPI 3.1.
    Openapi,
    /// Print the GraphQL schema.
    Schema,
}

/// How the server runs.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// The kubeconfig to use; else `$KUBECONFIG`, `~/.kube/config`, or the service account of this pod.
    #[arg(long, value_name = "FILE", env = "CAREEN_KUBECONFIG")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The context to take from the kubeconfig; else its current one.
    #[arg(long, value_name = "NAME", env = "CAREEN_CONTEXT")]
    pub(crate) context: Option<String>,
    /// Where to answer HTTP; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS", env = "CAREEN_LISTEN", default_value = "127.0.0.1:8080", value_parser = address)]
    pub(crate) listen: SocketAddr,
    /// A name by which this server is called, as in `https://NAME/`; can be given several times. Loopback always is
    /// one. Without any, a server that listens on the network is called as one likes.
    #[arg(
        long = "allowed-host",
        value_name = "NAME",
        env = "CAREEN_ALLOWED_HOSTS",
        value_delimiter = ',',
        value_parser = host_name
    )]
    pub(crate) allowed_hosts: Vec<String>,
    /// The file of the TLS certificate with its chain, in PEM. It is read again when it changes.
    #[arg(long, value_name = "FILE", env = "CAREEN_TLS_CERTIFICATE", requires = "tls_key")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The file of the certificate's private key, in PEM.
    #[arg(long, value_name = "FILE", env = "CAREEN_TLS_KEY", requires = "tls_certificate")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Listen on the network without TLS: something in front of it does TLS, and nobody else reaches it.
    #[arg(long, env = "CAREEN_BEHIND_TLS_PROXY", conflicts_with = "tls_certificate")]
    pub(crate) behind_tls_proxy: bool,
    /// A further audience of the tokens that callers may send, besides that of the API server; can be given several
    /// times.
    #[arg(
        long = "token-audience",
        value_name = "AUDIENCE",
        env = "CAREEN_TOKEN_AUDIENCES",
        value_delimiter = ',',
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub(crate) token_audiences: Vec<String>,
    #[command(flatten)]
    pub(crate) notify: NotifyArgs,
    /// The namespace of Careen's own objects, such as the leader Lease.
    #[arg(long, value_name = "NAME", env = "CAREEN_NAMESPACE", default_value = "careen", value_parser = namespace)]
    pub(crate) namespace: String,
    /// The key of the taint that a node gets while it is in maintenance.
    #[arg(
        long,
        value_name = "KEY",
        env = "CAREEN_DRAIN_TAINT_KEY",
        default_value = names::DRAIN_TAINT_KEY,
        value_parser = drain_taint_key
    )]
    pub(crate) drain_taint_key: String,
    /// Nobody can ask GraphQL for its schema; `careen schema` prints it.
    #[arg(long, env = "CAREEN_NO_GRAPHQL_INTROSPECTION")]
    pub(crate) no_graphql_introspection: bool,
    /// How the log is written; else text on a terminal and JSON elsewhere. `RUST_LOG` says what is in it.
    #[arg(long, value_name = "FORMAT", env = "CAREEN_LOG_FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// The name of this replica in the leader Lease; else `$POD_NAME`, or the host's name and something random.
    #[arg(long, value_name = "NAME", env = "CAREEN_IDENTITY", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) identity: Option<String>,
}

/// Who is told what becomes of maintenances.
#[derive(Debug, clap::Args)]
pub(crate) struct NotifyArgs {
    /// Where call-backs go: what becomes of each maintenance is posted to this URL. It begins with https://, or leads
    /// to this machine.
    // It is read later: an error would repeat it here, and at many receivers it is as good as a password.
    #[arg(
        long,
        value_name = "URL",
        env = "CAREEN_NOTIFY_URL",
        hide_env_values = true,
        requires = "notify_secret_file"
    )]
    pub(crate) notify_url: Option<String>,
    /// The file of the secret that call-backs are signed with: whsec_ and 24 to 64 bytes in base64; one a line.
    #[arg(long, value_name = "FILE", env = "CAREEN_NOTIFY_SECRET_FILE", requires = "notify_url")]
    pub(crate) notify_secret_file: Option<PathBuf>,
}

/// How the demo runs. The server's log is off while the story is told, unless `RUST_LOG` says what is in it.
#[cfg(feature = "demo")]
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Where to answer HTTP, on loopback, because nobody is asked who they are; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = loopback_address)]
    pub(crate) listen: SocketAddr,
    /// Only serve: the story is yours.
    #[arg(long)]
    pub(crate) no_story: bool,
    /// End when the story has been told: with status 0 only if node02 was drained and restored, and no VM was lost.
    #[arg(long, conflicts_with = "no_story")]
    pub(crate) exit_after_story: bool,
    #[command(flatten)]
    pub(crate) notify: NotifyArgs,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why there is nothing to do: wrong usage, or a question for help or version.
#[derive(Debug)]
pub(crate) struct NoCommand(clap::Error);

/// Reads the command line.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, NoCommand> {
    Args::try_parse_from(arguments).map(|args| args.command).map_err(NoCommand)
}

impl NoCommand {
    /// Answers on the terminal: help as clap formats it, a failure as one line.
    pub(crate) fn tell(self) -> ExitCode {
        if matches!(self.0.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            // Nobody is left to be told that there is no stdout.
            self.0.print().ok();
        } else {
            error::print_line(&self.sentence());
        }
        ExitCode::from(u8::try_from(self.0.exit_code()).unwrap_or(2))
    }

    /// clap's message in one line: without "error:", its usage block and its tail.
    fn sentence(&self) -> String {
        let message = self.0.render().to_string();
        let lines = message.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
        let sentence = lines.collect::<Vec<_>>().join("; ");
        let sentence = sentence.strip_prefix("error: ").unwrap_or(&sentence);
        format!("{sentence}; `careen --help` says more")
    }
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "an address is an IP address and a port, such as 127.0.0.1:8080 or [::]:8080")
}

#[cfg(feature = "demo")]
fn loopback_address(text: &str) -> Result<SocketAddr, &'static str> {
    let listen = address(text)?;
    if listen.ip().is_loopback() {
        Ok(listen)
    } else {
        Err("the demo asks nobody who they are, so it listens on loopback only")
    }
}

fn host_name(text: &str) -> Result<String, &'static str> {
    let is_name = text.parse::<Authority>().is_ok_and(|authority| authority.host() == text);
    if is_name {
        Ok(text.to_owned())
    } else {
        Err("a host is named without scheme and port, such as careen.example.com")
    }
}

fn namespace(text: &str) -> Result<String, String> {
    let characters = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if (1..=63).contains(&text.len()) && characters && !text.starts_with('-') && !text.ends_with('-') {
        Ok(text.to_owned())
    } else {
        Err("a namespace has 1 to 63 characters of a-z, 0-9 and '-', and a letter or digit at both ends".to_owned())
    }
}

fn drain_taint_key(text: &str) -> Result<String, String> {
    if text == names::KUBEVIRT_DRAIN_TAINT_KEY {
        return Err("this is KubeVirt's own: it would evacuate every VM of the node at once, \
                    whatever the drain's options are, and go on when the drain is cancelled; take another key"
            .to_owned());
    }
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let name_is_valid = name.len() <= 63
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.ends_with(|last: char| last.is_ascii_alphanumeric());
    // A prefix is what the name of a node is: an RFC 1123 subdomain.
    let prefix_is_valid = prefix.is_none_or(|prefix| prefix.parse::<careen_core::model::NodeName>().is_ok());
    if name_is_valid && prefix_is_valid {
        Ok(text.to_owned())
    } else {
        Err("a taint key is a name of up to 63 letters, digits, '-', '_' and '.', \
             with a domain and '/' before it if wanted, such as medik8s.io/drain"
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_taint_key_is_a_qualified_name_and_not_kubevirts() {
        for good in ["medik8s.io/drain", "drain", "example.com/Drain_1.x"] {
            assert_eq!(drain_taint_key(good).unwrap(), good);
        }
        let too_long = "a".repeat(64);
        for bad in ["", "/drain", "medik8s.io/", "a/b/c", "-drain", "drain.", "Medik8s.io/drain", "dräin", &too_long] {
            assert!(drain_taint_key(bad).unwrap_err().contains("medik8s.io/drain"), "{bad}");
        }
        assert!(drain_taint_key("kubevirt.io/drain").unwrap_err().contains("KubeVirt's own"));
    }

    #[test]
    fn a_host_is_named_without_scheme_and_port() {
        for good in ["careen.example.com", "careen", "10.1.2.3", "[2001:db8::1]"] {
            assert_eq!(host_name(good).unwrap(), good);
        }
        for bad in ["", "careen:8080", "https://careen", "me@careen", "a b", "careen/"] {
            host_name(bad).unwrap_err();
        }
    }

    #[test]
    fn a_namespace_is_a_dns_label() {
        assert_eq!(namespace("careen-2").unwrap(), "careen-2");
        let too_long = "a".repeat(64);
        for bad in ["", "-a", "a-", "A", "a.b", &too_long] {
            namespace(bad).unwrap_err();
        }
    }
}
