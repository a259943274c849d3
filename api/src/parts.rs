//! What runs at the same time in one server, and ends together.

use std::{collections::BTreeSet, future::pending, time::Duration};

use tokio::{
    task::{JoinError, JoinSet},
    time::timeout,
};

use crate::{error::Error, shutdown::Shutdown};

/// The server ends within this time of being told to; the Deployment gives it twice as much.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// The parts of the server. None ends before the server does.
#[derive(Default)]
pub(crate) struct Parts {
    tasks: JoinSet<&'static str>,
    running: BTreeSet<&'static str>,
    beside: JoinSet<()>,
}

impl Parts {
    /// Starts a part, which ends when the server is told to stop.
    pub(crate) fn start(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        self.running.insert(name);
        self.tasks.spawn(async move {
            part.await;
            name
        });
    }

    /// Starts a part that does not know of the server's end.
    pub(crate) fn start_endless(
        &mut self,
        name: &'static str,
        part: impl Future<Output = ()> + Send + 'static,
        shutdown: &Shutdown,
    ) {
        let requested = shutdown.requested();
        self.start(name, async {
            tokio::select! {
                () = part => {}
                () = requested => {}
            }
        });
    }

    /// Starts something that may end when it likes, and ends with the server. If it panics, so does the server.
    pub(crate) fn start_beside(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.beside.spawn(task);
    }

    /// Waits for the server to be told to stop, or for a part to end by itself; then for all of them.
    pub(crate) async fn run(mut self, shutdown: Shutdown) -> Result<(), Error> {
        let result = tokio::select! {
            biased;
            () = shutdown.requested() => Ok(()),
            Some(ended) = self.tasks.join_next() => {
                // Asked for just now, on another thread, and a part was quick.
                let in_order = ended.is_ok() && shutdown.is_requested();
                let fault = self.fault(ended);
                if in_order { Ok(()) } else { Err(fault) }
            }
            error = panicked(&mut self.beside) => {
                Err(Error::Ended { part: "server", message: Some(error.to_string()) })
            }
        };
        shutdown.request();
        let stopped = timeout(STOP_WITHIN, self.stopped()).await;
        let late = || self.running.iter().copied().collect::<Vec<_>>().join(" and the ");
        result.and(stopped.unwrap_or_else(|_| Err(Error::DidNotStop { parts: late(), after: STOP_WITHIN })))
    }

    async fn stopped(&mut self) -> Result<(), Error> {
        let mut result = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            match ended {
                Ok(name) => drop(self.running.remove(name)),
                Err(_) => result = Err(self.fault(ended)),
            }
        }
        tracing::info!("stopped");
        result
    }

    fn fault(&mut self, ended: Result<&'static str, JoinError>) -> Error {
        match ended {
            Ok(part) => {
                self.running.remove(part);
                Error::Ended { part, message: None }
            }
            Err(error) => Error::Ended { part: "server", message: Some(error.to_string()) },
        }
    }
}

/// Waits for one of these to panic.
async fn panicked(tasks: &mut JoinSet<()>) -> JoinError {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            return error;
        }
    }
    pending().await
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn when_a_part_ends_by_itself_the_others_are_stopped_and_it_is_named() {
        let shutdown = Shutdown::default();
        let mut parts = Parts::default();
        parts.start("HTTP server", shutdown.requested());
        parts.start("controller", async {});
        let error = parts.run(shutdown).await.unwrap_err().to_string();
        assert!(error.starts_with("the controller ended by itself"), "{error}");
    }

    #[tokio::test]
    async fn a_part_that_panics_ends_the_server() {
        let shutdown = Shutdown::default();
        let mut parts = Parts::default();
        parts.start("controller", async { panic!("a fault") });
        let error = parts.run(shutdown).await.unwrap_err().to_string();
        assert!(error.contains("panicked"), "{error}");
    }

    #[tokio::test]
    async fn what_runs_beside_may_end_and_may_not_panic() {
        let shutdown = Shutdown::default();
        let mut parts = Parts::default();
        parts.start("HTTP server", shutdown.requested());
        parts.start_beside(async {});
        parts.start_beside(async { panic!("a fault") });
        let error = parts.run(shutdown).await.unwrap_err().to_string();
        assert!(error.contains("panicked"), "{error}");
    }

    #[tokio::test]
    async fn a_part_without_an_end_ends_with_the_server_and_no_earlier() {
        for (part, ends_well) in [(pending().boxed(), true), (async {}.boxed(), false)] {
            let shutdown = Shutdown::default();
            let mut parts = Parts::default();
            parts.start_endless("event log", part, &shutdown);
            if ends_well {
                shutdown.request();
            }
            let error = parts.run(shutdown).await.err().map(|error| error.to_string());
            assert_eq!(error.is_none(), ends_well);
            assert!(error.is_none_or(|error| error.starts_with("the event log ended by itself")));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_does_not_stop_is_left_behind_and_named() {
        let shutdown = Shutdown::default();
        let mut parts = Parts::default();
        parts.start("HTTP server", shutdown.requested());
        parts.start("controller", pending());
        shutdown.request();
        let error = parts.run(shutdown).await.unwrap_err().to_string();
        assert!(error.starts_with("was told to stop, and the controller did not within 15 s"), "{error}");
    }
}
