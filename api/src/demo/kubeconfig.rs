//! The kubeconfig of a demo: in a folder of its own, for this user only, and gone when the demo ends.

use std::{
    env, fs,
    fs::{DirBuilder, OpenOptions},
    io::{self, Write},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process,
};

use serde_json::json;

use crate::{error::Error, identity};

/// A kubeconfig, as long as it is kept.
#[derive(Debug)]
pub(super) struct Kubeconfig {
    folder: PathBuf,
    path: PathBuf,
}

impl Kubeconfig {
    /// Writes one that leads to that API server.
    pub(super) fn write(server: SocketAddr) -> Result<Self, Error> {
        Self::write_in(&env::temp_dir(), server)
    }

    fn write_in(parent: &Path, server: SocketAddr) -> Result<Self, Error> {
        let folder = parent.join(format!("careen-demo-{}-{:08x}", process::id(), identity::random()));
        let kubeconfig = Self { path: folder.join("kubeconfig"), folder };
        match kubeconfig.fill(server) {
            Ok(()) => Ok(kubeconfig),
            Err(source) => Err(Error::Kubeconfig { path: kubeconfig.path.clone(), source }),
        }
    }

    /// Neither follows a link that somebody else has put there.
    fn fill(&self, server: SocketAddr) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(&self.folder)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
        // JSON is YAML.
        writeln!(file, "{:#}", content(server))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Kubeconfig {
    fn drop(&mut self) {
        // Somebody may have put more into the folder; that stays.
        fs::remove_file(&self.path).ok();
        fs::remove_dir(&self.folder).ok();
    }
}

fn content(server: SocketAddr) -> serde_json::Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "careen-demo",
        "contexts": [{"name": "careen-demo", "context": {"cluster": "careen-demo", "user": "careen-demo"}}],
        "clusters": [{"name": "careen-demo", "cluster": {"server": format!("http://{server}")}}],
        "users": [{"name": "careen-demo", "user": {}}],
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn server() -> SocketAddr {
        "127.0.0.1:6443".parse().unwrap()
    }

    #[test]
    fn it_is_for_this_user_only_and_goes_with_the_demo() {
        let kubeconfig = Kubeconfig::write(server()).unwrap();
        let path = kubeconfig.path().to_owned();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let read = kube::config::Kubeconfig::read_from(&path).unwrap();
        assert_eq!(read.current_context.as_deref(), Some("careen-demo"));
        drop(kubeconfig);
        assert!(!path.parent().unwrap().exists());
    }

    #[test]
    fn two_demos_do_not_disturb_each_other() {
        let (one, other) = (Kubeconfig::write(server()).unwrap(), Kubeconfig::write(server()).unwrap());
        assert_ne!(one.path(), other.path());
        drop(one);
        assert!(other.path().exists());
    }

    #[test]
    fn where_it_cannot_be_written_is_named() {
        let error = Kubeconfig::write_in(Path::new("/no/such/folder"), server()).unwrap_err().to_string();
        assert!(error.contains("/no/such/folder/careen-demo-") && error.contains("TMPDIR"), "{error}");
    }
}
