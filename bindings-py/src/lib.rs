//! `careen._careen`: what `careen`, the Python package, asks of the engine. Nobody else is to import it: what is public has
//! types, classes and docs in `python/careen`.
//!
//! | file | holds |
//! |---|---|
//! | `runtime` | waiting for the engine: blocking, and as an awaitable |
//! | `log` | what the engine logs, for Python's `logging` |
//! | `pair` | one function of the engine as two of Python |
//! | `error` | what goes wrong, as Python's exceptions |
//! | `cluster` | a connection, and how much of the cluster it looks at |
//! | `resources` | the resources, one file each, named as in every other face |
//! | `drain_event` | what a drain in this process tells |
//! | `controller` | a controller in this process |
//! | `simulated_cluster` | a cluster in memory (feature `testing`) |
//! | `sample` | one of each view, to hold Python's models to the engine's |
//!
//! Views cross as JSON, and Python makes its models of it: one shape for all faces, and one place where it is decided.

use pyo3::prelude::*;

#[macro_use]
mod pair;

mod cluster;
mod controller;
mod drain_event;
mod error;
mod log;
mod resources;
mod runtime;
mod sample;
#[cfg(feature = "testing")]
mod simulated_cluster;

#[pymodule(gil_used = false)]
fn _careen(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    log::add_to(module)?;
    cluster::add_to(module)?;
    resources::add_to(module)?;
    controller::add_to(module)?;
    sample::add_to(module)?;
    #[cfg(feature = "testing")]
    simulated_cluster::add_to(module)?;
    Ok(())
}
