//! Where call-backs go. A URL is as good as a password at many receivers, so only its host is ever said.

use std::{fmt, net::IpAddr, str::FromStr};

use axum::http::{Uri, uri::Scheme};

/// The URL of a receiver.
pub(super) struct Receiver(Uri);

/// Why a text is no URL that things are told to. Nothing of it is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidReceiver {
    /// It is no URL.
    #[error("this is not a URL such as https://tickets.example.com/careen")]
    NoUrl,
    /// Neither `https` nor `http`.
    #[error("the URL begins with https://, or on this machine with http://")]
    OtherScheme,
    /// A name or a password in front of the host.
    #[error(
        "the URL has a name or password before its host, which shows up in logs on the way: leave it out, the signature says who calls"
    )]
    UserInfo,
    /// Plain HTTP over a network.
    #[error(
        "what is told does not go over a network in the clear: the URL begins with https://, or its host is localhost, 127.0.0.1 or [::1]"
    )]
    InTheClear,
}

impl Receiver {
    pub(super) fn is_plain(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTP)
    }

    pub(super) fn uri(&self) -> Uri {
        self.0.clone()
    }
}

impl FromStr for Receiver {
    type Err = InvalidReceiver;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().map_err(|_| InvalidReceiver::NoUrl)?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(InvalidReceiver::NoUrl);
        };
        if authority.as_str().contains('@') {
            return Err(InvalidReceiver::UserInfo);
        }
        if authority.host().is_empty() {
            return Err(InvalidReceiver::NoUrl);
        }
        match scheme {
            scheme if *scheme == Scheme::HTTPS => Ok(Self(uri)),
            scheme if *scheme == Scheme::HTTP && is_loopback(authority.host()) => Ok(Self(uri)),
            scheme if *scheme == Scheme::HTTP => Err(InvalidReceiver::InTheClear),
            _ => Err(InvalidReceiver::OtherScheme),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Scheme, host and port.
impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.0.authority().map(ToString::to_string).unwrap_or_default();
        write!(f, "{}://{authority}", self.0.scheme_str().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_reached_by_tls_or_on_this_machine() {
        for good in [
            "https://tickets.example.com/careen?key=s3cret",
            "https://10.1.2.3:8443",
            "http://localhost:8080/x",
            "http://127.0.0.1:1",
            "http://[::1]:8080/x",
        ] {
            let receiver: Receiver = good.parse().unwrap_or_else(|error| panic!("{good}: {error}"));
            let said = receiver.to_string();
            assert!(good.starts_with(&said) && !said.contains("s3cret") && !said.ends_with("/x"), "{said}");
        }
        for (bad, why) in [
            ("", InvalidReceiver::NoUrl),
            ("tickets.example.com", InvalidReceiver::NoUrl),
            ("/careen", InvalidReceiver::NoUrl),
            ("https://", InvalidReceiver::NoUrl),
            ("https:// /", InvalidReceiver::NoUrl),
            ("ftp://example.com/", InvalidReceiver::OtherScheme),
            ("https://me:s3cret@example.com/", InvalidReceiver::UserInfo),
            ("http://tickets.example.com/", InvalidReceiver::InTheClear),
            ("http://localhost.example.com/", InvalidReceiver::InTheClear),
            ("http://10.0.0.1/", InvalidReceiver::InTheClear),
        ] {
            let error = bad.parse::<Receiver>().err();
            assert_eq!(error, Some(why), "{bad}");
            assert!(!why.to_string().contains("s3cret"));
        }
    }
}
