//! What came of one request to the API server, told apart by what can be done about it.

use std::time::Duration;

use kube::core::Status;

/// How long an answer is waited for, except for Leases. Longer than the API server waits for a webhook (10 s), and well
/// below the 15 s between the moment when a leader that cannot renew its Lease stops and the moment when another may
/// begin: no request of ours is still on its way then.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(12);

pub(crate) enum Answer<T> {
    Done(T),
    /// The API server understood and said no.
    Refused(Box<Status>),
    /// It could not be reached, or could not serve (429, 5xx).
    Unavailable(Box<kube::Error>),
    /// No answer in time: a write may have been made, or not.
    TimedOut,
}

impl<T> Answer<T> {
    pub(crate) async fn within(timeout: Duration, request: impl Future<Output = kube::Result<T>>) -> Self {
        match tokio::time::timeout(timeout, request).await {
            Ok(Ok(done)) => Self::Done(done),
            Ok(Err(kube::Error::Api(status))) if status.code < 500 && status.code != 429 => Self::Refused(status),
            Ok(Err(error)) => Self::Unavailable(Box::new(error)),
            Err(_) => Self::TimedOut,
        }
    }
}
