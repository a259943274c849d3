//! The secrets that are shared with the receiver.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::hmac;

/// What the Standard Webhooks scheme asks of a secret: 192 to 512 bits.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// A file of secrets is small.
const LARGEST_FILE: usize = 4096;

/// Why a file has no secret in it. Nothing of its content is repeated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// It cannot be read.
    #[error("cannot read the secret {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds something else.
    #[error(
        "{} is not a secret of the Standard Webhooks scheme, one a line: whsec_ and 24 to 64 random bytes in base64 \
         (echo whsec_$(head -c 32 /dev/urandom | base64))",
        .path.display()
    )]
    NoSecret {
        /// The file.
        path: PathBuf,
    },
}

/// The keys to sign with: while one is replaced, both.
pub(super) struct Secrets(Vec<hmac::Key>);

impl Secrets {
    /// Reads a file with a secret on each line.
    pub(super) fn read(path: &Path) -> Result<Self, SecretError> {
        let text = fs::read(path).map_err(|source| SecretError::Read { path: path.to_owned(), source })?;
        let text = String::from_utf8(text).ok().filter(|text| text.len() <= LARGEST_FILE);
        text.and_then(|text| Self::parse(&text)).ok_or_else(|| SecretError::NoSecret { path: path.to_owned() })
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Option<Vec<_>> = lines.map(key).collect();
        keys.filter(|keys| !keys.is_empty()).map(Self)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &hmac::Key> {
        self.0.iter()
    }
}

fn key(line: &str) -> Option<hmac::Key> {
    let bytes = STANDARD.decode(line.strip_prefix("whsec_")?).ok()?;
    BYTES.contains(&bytes.len()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_named_as_such_and_long_enough() {
        let secret = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for good in [secret(24), secret(64), format!("\n {}\r\n{}\n", secret(32), secret(24))] {
            assert!(Secrets::parse(&good).is_some(), "{good}");
        }
        for bad in [
            String::new(),
            "\n".to_owned(),
            secret(23),
            secret(65),
            "whsec_".to_owned(),
            "whsec_ä".to_owned(),
            STANDARD.encode([7; 32]),
            format!("{}\nanother", secret(32)),
        ] {
            assert!(Secrets::parse(&bad).is_none(), "{bad}");
        }
    }
}
