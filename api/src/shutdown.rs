//! The signals that end the server.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::error::Error;

/// Whether the server is to stop. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shutdown {
    requested: watch::Sender<bool>,
}

impl Shutdown {
    /// One that SIGTERM and SIGINT (Ctrl-C) request.
    pub(crate) fn on_signals() -> Result<Self, Error> {
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
        let shutdown = Self::default();
        let on_signal = shutdown.clone();
        tokio::spawn(async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = name, "stopping");
            on_signal.request();
        });
        Ok(shutdown)
    }

    /// Asks for it.
    pub(crate) fn request(&self) {
        self.requested.send_replace(true);
    }

    /// Whether somebody has asked for it.
    pub(crate) fn is_requested(&self) -> bool {
        *self.requested.borrow()
    }

    /// Waits until somebody has asked for it.
    pub(crate) fn requested(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut requested = self.requested.subscribe();
        let keep_sender = self.clone();
        async move {
            // The sender lives as long as this future, so this cannot fail.
            requested.wait_for(|requested| *requested).await.ok();
            drop(keep_sender);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_who_waits_is_told_and_those_who_come_later_too() {
        let shutdown = Shutdown::default();
        let waiting = tokio::spawn(shutdown.requested());
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        shutdown.request();
        waiting.await.unwrap();
        shutdown.requested().await;
    }
}
