//! A cluster that is named by the URL of its API server, for those who have no kubeconfig.

use std::{fmt, path::PathBuf};

use http::{HeaderValue, Uri};
use kube::{
    Client, Config,
    config::{AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext},
};

use super::{ConnectError, checked, reason};
use crate::metrics::Metrics;

/// The URL of an API server, and who asks it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// `https://10.0.0.1:6443`.
    pub url: String,
    /// A bearer token.
    pub token: Option<String>,
    /// A file of PEM certificates that vouch for the API server; else those of the system.
    pub certificate_authority: Option<PathBuf>,
}

impl fmt::Debug for Address {
    // The token is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Address {
    /// Makes a client, and asks the API server once for its version, so that a wrong address or token is told at once.
    pub async fn client(&self, metrics: &Metrics) -> Result<Client, ConnectError> {
        checked(self.config().await?, metrics).await
    }

    async fn config(&self) -> Result<Config, ConnectError> {
        self.check()?;
        let here = || "here".to_owned();
        let authority = self.certificate_authority.as_ref().map(|path| path.to_string_lossy().into_owned());
        let cluster =
            Cluster { server: Some(self.url.clone()), certificate_authority: authority, ..Cluster::default() };
        let user = AuthInfo { token: self.token.clone().map(Into::into), ..AuthInfo::default() };
        let context = Context { cluster: here(), user: Some(here()), ..Context::default() };
        // kube reads certificates for kubeconfigs only; so it is given one.
        let kubeconfig = Kubeconfig {
            clusters: vec![NamedCluster { name: here(), cluster: Some(cluster), ..NamedCluster::default() }],
            auth_infos: vec![NamedAuthInfo { name: here(), auth_info: Some(user), ..NamedAuthInfo::default() }],
            contexts: vec![NamedContext { name: here(), context: Some(context), ..NamedContext::default() }],
            current_context: Some(here()),
            ..Kubeconfig::default()
        };
        // URL and token have been looked at: what is left to go wrong is the file.
        let unusable = |error| ConnectError::Address { field: "certificate_authority", message: reason(&error) };
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(unusable)
    }

    fn check(&self) -> Result<(), ConnectError> {
        let unusable = |field, message| Err(ConnectError::Address { field, message });
        if !is_address(&self.url) {
            return unusable("url", "it has to be like https://10.0.0.1:6443".to_owned());
        }
        if self.token.as_ref().is_some_and(|token| token.is_empty() || HeaderValue::from_str(token).is_err()) {
            return unusable("token", "it is empty, or has characters that no token has".to_owned());
        }
        Ok(())
    }
}

/// With a scheme and a host, and without a password: URLs are logged.
fn is_address(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        matches!(uri.scheme_str(), Some("http" | "https")) && !authority.is_empty() && !authority.contains('@')
    })
}
