//! Waiting for the engine: blocking, with the GIL released and Ctrl-C heard; and as an awaitable of asyncio.

use std::{sync::OnceLock, time::Duration};

use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::{future_into_py, get_runtime};
use tokio::runtime::Runtime;

use crate::{error::Error, log};

/// Python runs signal handlers only when asked to: a tenth of a second is at once for a person, and costs nothing.
const LISTEN_TO_SIGNALS_EVERY: Duration = Duration::from_millis(100);

/// The process in which the runtime has its threads.
static OWNER: OnceLock<u32> = OnceLock::new();

/// The runtime of this process. A fork does not inherit its threads: nothing would ever answer there.
pub(crate) fn runtime() -> Result<&'static Runtime, Error> {
    let owner = OWNER.get_or_init(|| {
        // Not on import: a process that is to fork has no threads then.
        log::start();
        std::process::id()
    });
    if *owner == std::process::id() { Ok(get_runtime()) } else { Err(Error::Forked) }
}

/// Whether this is a fork of the process that has the runtime: none of its threads is here.
pub(crate) fn is_forked() -> bool {
    OWNER.get().is_some_and(|owner| *owner != std::process::id())
}

/// Waits for it. Ctrl-C drops it and raises `KeyboardInterrupt`.
pub(crate) fn block_on<F, T>(py: Python<'_>, future: F) -> PyResult<T>
where
    F: Future<Output = Result<T, Error>> + Send + 'static,
    T: Send + 'static,
{
    let runtime = runtime()?;
    let mut task = runtime.spawn(future);
    loop {
        let waited = async { tokio::time::timeout(LISTEN_TO_SIGNALS_EVERY, &mut task).await };
        match py.detach(|| runtime.block_on(waited)) {
            Ok(Ok(result)) => return Ok(result?),
            Ok(Err(error)) => return Err(Error::Internal(error.to_string()).into()),
            Err(_) => {
                if let Err(interrupt) = py.check_signals() {
                    task.abort();
                    return Err(interrupt);
                }
            }
        }
    }
}

/// An awaitable of it. Cancelling that drops it.
pub(crate) fn awaitable<F, T>(py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
where
    F: Future<Output = Result<T, Error>> + Send + 'static,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    runtime()?;
    future_into_py(py, async move { Ok(future.await?) })
}

/// No longer than so many seconds.
pub(crate) async fn within<T>(
    seconds: Option<f64>,
    what: &'static str,
    future: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Some(limit) = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) else {
        return future.await;
    };
    tokio::time::timeout(limit, future).await.unwrap_or_else(|_| Err(Error::Timeout { what: what.to_owned(), limit }))
}
