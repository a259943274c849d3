//! A connection, and how much of the cluster it looks at.
//!
//! A call that is about one node looks at that node and what is around it (`Nodes`), and reads it anew: it costs the same
//! in a cluster of any size. What is about the whole cluster keeps watches of everything, from the first such call on.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use careen_core::{
    clock::Clock,
    cluster::{Address, Cluster as Watched, ConnectError, Connection, WatchState},
    metrics::Metrics,
    model::NodeName,
    names::DRAIN_TAINT_KEY,
    operation::Operations,
};
use kube::Client;
use pyo3::prelude::*;
use tokio::sync::watch;

use crate::{
    error::Error,
    resources::drain::Running,
    runtime::{awaitable, block_on, runtime},
};

/// A failing watch is looked at so often while a call waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Closing gives drains that are cancelled for it so long to take their record and Lease away.
pub(crate) const FAREWELL: Duration = Duration::from_secs(5);

/// A connection to a cluster.
#[pyclass(frozen, module = "careen._careen")]
pub(crate) struct Cluster(Arc<Connected>);

/// What a connection has.
pub(crate) struct Connected {
    pub(crate) client: Client,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    /// Longest time for one call; a drain is not one.
    pub(crate) timeout: Duration,
    /// Whether every call looks at the whole cluster.
    looks_at_everything: bool,
    whole: Mutex<Option<Watched>>,
    closed: watch::Sender<bool>,
    drains: Mutex<Vec<Arc<Running>>>,
}

impl Cluster {
    pub(crate) fn on(client: Client, metrics: Metrics, timeout: Duration, looks_at_everything: bool) -> Self {
        Self(Arc::new(Connected {
            client,
            metrics,
            clock: Clock::system(),
            timeout,
            looks_at_everything,
            whole: Mutex::default(),
            closed: watch::Sender::new(false),
            drains: Mutex::default(),
        }))
    }

    /// What it has; an error after it was closed, or in a fork.
    pub(crate) fn connected(&self) -> Result<Arc<Connected>, Error> {
        runtime()?;
        if *self.0.closed.borrow() { Err(Error::Closed) } else { Ok(self.0.clone()) }
    }
}

impl Connected {
    /// The result of a call; no later than its time-out, and not after the connection was closed.
    pub(crate) fn call<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> impl Future<Output = Result<T, Error>> {
        // Boxed, for it is large, and would be twice in what waits for it.
        let call = Box::pin(call);
        self.while_open(async move {
            let done = tokio::time::timeout(self.timeout, call).await;
            done.unwrap_or_else(|_| {
                Err(Error::Timeout { what: format!("the result of {what}()"), limit: self.timeout })
            })
        })
    }

    /// The result of a wait, which has no time-out of its own; not after the connection was closed.
    pub(crate) async fn while_open<T>(&self, wait: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let mut closed = self.closed.subscribe();
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => Err(Error::Closed),
            done = wait => done,
        }
    }

    /// What there is to know about a node, read now.
    pub(crate) async fn around(&self, node: &NodeName) -> Result<Watched, Error> {
        if self.looks_at_everything {
            return self.whole().await;
        }
        self.filled(Watched::nodes(self.client.clone(), [node.clone()], self.metrics.clone())).await
    }

    /// What there is to know about the whole cluster.
    pub(crate) async fn whole(&self) -> Result<Watched, Error> {
        let watched = {
            let mut whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
            // Closing, which says so before it ends the watches, may have ended them already.
            if *self.closed.borrow() {
                return Err(Error::Closed);
            }
            whole.get_or_insert_with(|| Watched::whole(self.client.clone(), self.metrics.clone())).clone()
        };
        self.filled(watched).await
    }

    /// The same for one look.
    pub(crate) async fn whole_once(&self) -> Result<Watched, Error> {
        if self.looks_at_everything {
            return self.whole().await;
        }
        self.filled(Watched::whole(self.client.clone(), self.metrics.clone())).await
    }

    /// Waits until everything is read. A right that is missing and credentials that are refused are told at once, anything
    /// else when time is running out.
    pub(crate) async fn filled(&self, watched: Watched) -> Result<Watched, Error> {
        let give_up = tokio::time::Instant::now() + self.timeout.mul_f64(0.9);
        loop {
            if tokio::time::timeout(LOOK_EVERY, watched.ready()).await.is_ok() {
                return Ok(watched);
            }
            let waiting = watched.not_ready();
            let refused = waiting.values().find_map(|state| match state {
                WatchState::Failing { error } if error.contains("forbidden") => Some(Error::Unreadable(error.clone())),
                WatchState::Failing { error } if error == "Unauthorized" => Some(Error::Unauthorized(error.clone())),
                _ => None,
            });
            if let Some(error) = refused {
                return Err(error);
            }
            if tokio::time::Instant::now() >= give_up {
                return Err(Error::NotFilled(waiting));
            }
        }
    }

    /// Tells when it is closed.
    pub(crate) fn closed(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    pub(crate) fn looks_at_everything(&self) -> bool {
        self.looks_at_everything
    }

    /// The operations on what is known.
    pub(crate) fn operations(&self, watched: Watched) -> Operations {
        Operations::new(watched, self.clock, careen_core_namespace(), DRAIN_TAINT_KEY)
    }

    /// A drain that goes on until it ends or this is closed.
    pub(crate) fn keep(&self, drain: &Arc<Running>) {
        let mut drains = self.drains.lock().unwrap_or_else(PoisonError::into_inner);
        drains.retain(|drain| !drain.is_over());
        drains.push(drain.clone());
        // Closing, which says so before it looks for drains, may have looked already.
        if *self.closed.borrow() {
            drain.cancel();
        }
    }

    async fn close(&self) -> Result<(), Error> {
        // First: nothing begins in a connection that is being closed.
        self.closed.send_replace(true);
        let drains = std::mem::take(&mut *self.drains.lock().unwrap_or_else(PoisonError::into_inner));
        for drain in &drains {
            drain.cancel();
        }
        let ended = futures::future::join_all(drains.iter().map(|drain| drain.ended()));
        if tokio::time::timeout(FAREWELL, ended).await.is_err() {
            for drain in &drains {
                drain.abandon();
            }
        }
        // Handles that somebody keeps have clones of it.
        if let Some(whole) = self.whole.lock().unwrap_or_else(PoisonError::into_inner).take() {
            whole.end();
        }
        Ok(())
    }
}

/// Careen's own namespace. Scripts order nothing in it.
pub(crate) fn careen_core_namespace() -> &'static str {
    "careen"
}

/// A name of a node.
pub(crate) fn node_name(name: &str) -> Result<NodeName, Error> {
    name.parse().map_err(|error: careen_core::model::InvalidNodeName| Error::InvalidArgument {
        argument: "node",
        message: error.to_string(),
    })
}

/// How long a call may take, from seconds.
pub(crate) fn call_timeout(seconds: f64) -> Result<Duration, Error> {
    let duration = Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| Error::InvalidArgument {
        argument: "timeout",
        message: format!("timeout is {seconds}: it has to be a positive number of seconds"),
    })
}

#[pymethods]
impl Cluster {
    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        *self.0.closed.borrow()
    }

    /// Cancels the drains that run in it, and ends its watches.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let connected = self.0.clone();
        block_on(py, async move { connected.close().await })
    }

    fn close_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let connected = self.0.clone();
        awaitable(py, async move { connected.close().await })
    }
}

/// Where a cluster is.
enum Place {
    Kubeconfig(Connection),
    Address(Address),
}

impl Place {
    async fn client(&self, metrics: &Metrics) -> Result<Client, ConnectError> {
        match self {
            Self::Kubeconfig(connection) => connection.client(metrics).await,
            Self::Address(address) => address.client(metrics).await,
        }
    }
}

async fn make(place: Place, timeout: f64, whole: bool) -> Result<Cluster, Error> {
    let timeout = call_timeout(timeout)?;
    let metrics = Metrics::default();
    let client = tokio::time::timeout(timeout, place.client(&metrics)).await;
    let client = client.map_err(|_| Error::Timeout { what: "a connection".to_owned(), limit: timeout })??;
    Ok(Cluster::on(client, metrics, timeout, whole))
}

/// Connects to the cluster of a kubeconfig, or to that of this pod.
#[pyfunction]
fn connect(
    py: Python<'_>,
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    timeout: f64,
    whole: bool,
) -> PyResult<Cluster> {
    block_on(py, make(Place::Kubeconfig(Connection { kubeconfig, context }), timeout, whole))
}

#[pyfunction]
fn connect_async(
    py: Python<'_>,
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    timeout: f64,
    whole: bool,
) -> PyResult<Bound<'_, PyAny>> {
    awaitable(py, make(Place::Kubeconfig(Connection { kubeconfig, context }), timeout, whole))
}

/// Connects to the API server at that URL.
#[pyfunction]
fn connect_to(
    py: Python<'_>,
    url: String,
    token: Option<String>,
    certificate_authority: Option<PathBuf>,
    timeout: f64,
    whole: bool,
) -> PyResult<Cluster> {
    let place = Place::Address(Address { url, token, certificate_authority });
    block_on(py, make(place, timeout, whole))
}

#[pyfunction]
fn connect_to_async(
    py: Python<'_>,
    url: String,
    token: Option<String>,
    certificate_authority: Option<PathBuf>,
    timeout: f64,
    whole: bool,
) -> PyResult<Bound<'_, PyAny>> {
    let place = Place::Address(Address { url, token, certificate_authority });
    awaitable(py, make(place, timeout, whole))
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Cluster>()?;
    add_pairs!(module: connect, connect_async, connect_to, connect_to_async);
    Ok(())
}
