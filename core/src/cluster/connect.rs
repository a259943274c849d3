//! How a client is made: kubeconfig, context, in-cluster, an address and a token, or any tower service.

mod address;

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use http::{HeaderValue, Request, Response, header::USER_AGENT};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use tower::{
    BoxError, Service,
    util::{MapErrLayer, MapRequestLayer},
};

pub use self::address::Address;
use super::{
    answer_timeout::AnswerTimeout,
    count_requests::CountRequests,
    discreet::{discreet, without_secrets},
};
use crate::metrics::Metrics;

/// Where the cluster is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// A kubeconfig file; else `$KUBECONFIG`, `~/.kube/config`, or the service account of the pod this runs in.
    pub kubeconfig: Option<PathBuf>,
    /// The context to take from it; else its current one.
    pub context: Option<String>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig that was named cannot be read.
    #[error("cannot use the kubeconfig {}: {message}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The kubeconfig does not have the context that was named.
    #[error("there is no context {context:?} in the kubeconfig{}", file_text(path.as_deref()))]
    Context {
        /// The context.
        context: String,
        /// The file, if one was named.
        path: Option<PathBuf>,
    },
    /// No kubeconfig was named, and none of the usual places has a usable one.
    #[error("found no cluster: {message}; name a kubeconfig with --kubeconfig, or set KUBECONFIG")]
    NotFound {
        /// What was tried.
        message: String,
    },
    /// What was given instead of a kubeconfig makes no sense.
    #[error("cannot use the API server's {field}: {message}")]
    Address {
        /// `url`, `token` or `certificate_authority`.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The client could not be made from the configuration.
    #[error("cannot make a client for {server}: {message}")]
    Client {
        /// The API server's URL.
        server: String,
        /// What is wrong.
        message: String,
    },
    /// The API server does not answer.
    #[error("the API server {server} does not answer: {message}")]
    Unreachable {
        /// Its URL.
        server: String,
        /// What happened.
        message: String,
    },
    /// The API server answers, but not to this client.
    #[error("the API server {server} refuses the credentials: {message}")]
    Unauthorized {
        /// Its URL.
        server: String,
        /// Its answer.
        message: String,
    },
}

fn file_text(path: Option<&Path>) -> String {
    path.map(|path| format!(" {}", path.display())).unwrap_or_default()
}

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Connection {
    /// Makes a client, and asks the API server once for its version, so that a wrong address or token is told at once.
    pub async fn client(&self, metrics: &Metrics) -> Result<Client, ConnectError> {
        checked(self.config().await?, metrics).await
    }

    async fn config(&self) -> Result<Config, ConnectError> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        if let Some(path) = &self.kubeconfig {
            let unusable = |error| {
                let message = match (error, &self.context) {
                    (KubeconfigError::LoadContext(_), Some(context)) => return self.lacks(context),
                    (KubeconfigError::ReadConfig(error, _), _) => error.to_string(),
                    (error, _) => reason(&error),
                };
                ConnectError::Kubeconfig { path: path.clone(), message }
            };
            let kubeconfig = Kubeconfig::read_from(path).map_err(unusable)?;
            return Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(unusable);
        }
        let kubeconfig = match (Config::from_kubeconfig(&options).await, &self.context) {
            (Ok(config), _) => return Ok(config),
            (Err(KubeconfigError::LoadContext(_)), Some(context)) => return Err(self.lacks(context)),
            (Err(error), _) => reason(&error),
        };
        let (named, usual) = (env::var_os("KUBECONFIG"), env::home_dir().map(|home| home.join(".kube/config")));
        if self.context.is_some() || !is_absent(named.as_deref(), usual.as_deref()) {
            return Err(ConnectError::NotFound { message: kubeconfig });
        }
        Config::incluster().map_err(|error| match error {
            InClusterError::ReadEnvironmentVariable(_) => {
                ConnectError::NotFound { message: format!("{kubeconfig}, and this is not a pod") }
            }
            error => ConnectError::NotFound { message: format!("{kubeconfig}, and in the pod {error}") },
        })
    }

    fn lacks(&self, context: &str) -> ConnectError {
        ConnectError::Context { context: context.to_owned(), path: self.kubeconfig.clone() }
    }
}

/// Whether there is no kubeconfig at all. Only then the cluster of this pod is meant: one that is there and cannot be
/// used was to lead elsewhere. `named` is `$KUBECONFIG`, a list of files; `usual` is `~/.kube/config`.
fn is_absent(named: Option<&OsStr>, usual: Option<&Path>) -> bool {
    let names_one = named.is_some_and(|list| env::split_paths(list).any(|path| !path.as_os_str().is_empty()));
    !names_one && !usual.is_some_and(Path::exists)
}

/// A client that has asked the API server once.
async fn checked(mut config: Config, metrics: &Metrics) -> Result<Client, ConnectError> {
    let server = config.cluster_url.to_string();
    // kube's own retry hides 429 (a budget that refuses) for minutes; who asks decides here when to ask again.
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    let builder = ClientBuilder::try_from(config).map_err(|error| {
        let message = without_secrets(&error).unwrap_or_else(|| error.to_string());
        ConnectError::Client { server: server.clone(), message }
    })?;
    let client = client_of(builder, metrics);
    match tokio::time::timeout(CONNECT_TIMEOUT, client.apiserver_version()).await {
        Ok(Ok(_)) => Ok(client),
        Ok(Err(kube::Error::Api(status))) if status.code == 401 || status.code == 403 => {
            Err(ConnectError::Unauthorized { server, message: status.message })
        }
        Ok(Err(error)) => Err(ConnectError::Unreachable { server, message: innermost(&error) }),
        Err(_) => Err(ConnectError::Unreachable { server, message: format!("no answer in {CONNECT_TIMEOUT:?}") }),
    }
}

/// What is wrong with a kubeconfig. Nothing of what stands in it is repeated: it may be a token.
fn reason(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::CurrentContextNotSet => {
            "there is no kubeconfig, or it has no current-context (name the context)".to_owned()
        }
        KubeconfigError::LoadContext(context) => format!("there is no context {context:?} in the kubeconfig"),
        KubeconfigError::ReadConfig(error, path) => format!("cannot read {}: {error}", path.display()),
        KubeconfigError::Parse(error) => match error.location() {
            Some(at) => format!("line {}, column {} is not YAML of a kubeconfig", at.line(), at.column()),
            None => "this is not YAML of a kubeconfig".to_owned(),
        },
        error => error.to_string(),
    }
}

/// The innermost cause says what happened; those around it say where.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(sentence) = without_secrets(error) {
        return sentence;
    }
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// A client on any tower service: a cluster in memory needs no socket.
pub fn client_on<S, B>(service: S, metrics: &Metrics) -> Client
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    client_of(ClientBuilder::new(service, "default"), metrics)
}

/// The layers that every client has.
fn client_of<S, B>(builder: ClientBuilder<S>, metrics: &Metrics) -> Client
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let count = CountRequests::new(metrics.clone());
    let discreet = MapErrLayer::new(discreet as fn(BoxError) -> BoxError);
    builder.with_layer(&user_agent()).with_layer(&AnswerTimeout).with_layer(&discreet).with_layer(&count).build()
}

/// Every request says who sends it.
fn user_agent() -> MapRequestLayer<fn(Request<Body>) -> Request<Body>> {
    MapRequestLayer::new(|mut request| {
        let name = HeaderValue::from_static(concat!("careen/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, name);
        request
    })
}

#[cfg(test)]
mod tests;
