//! One function of the engine as two of Python: `plan` waits for it, `plan_async` gives an awaitable.

/// `pair! { plan, plan_async = make(name: String) }`: both call `make(Arc<Connected>, String)`, an async function whose
/// result is a JSON text; with `-> Drain` it is that.
macro_rules! pair {
    ($(#[$attribute:meta])* $blocking:ident, $awaitable:ident = $make:ident($($argument:ident: $type:ty),* $(,)?)) => {
        pair! { $(#[$attribute])* $blocking, $awaitable = $make($($argument: $type),*) -> String }
    };
    (
        $(#[$attribute:meta])*
        $blocking:ident, $awaitable:ident = $make:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty
    ) => {
        $(#[$attribute])*
        #[pyo3::pyfunction]
        fn $blocking(
            py: pyo3::Python<'_>,
            cluster: &$crate::cluster::Cluster,
            $($argument: $type),*
        ) -> pyo3::PyResult<$result> {
            let connected = cluster.connected()?;
            $crate::runtime::block_on(py, async move {
                let call = $make(connected.clone(), $($argument),*);
                connected.call(stringify!($blocking), call).await
            })
        }

        $(#[$attribute])*
        #[pyo3::pyfunction]
        fn $awaitable<'py>(
            py: pyo3::Python<'py>,
            cluster: &$crate::cluster::Cluster,
            $($argument: $type),*
        ) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::PyAny>> {
            let connected = cluster.connected()?;
            $crate::runtime::awaitable(py, async move {
                let call = $make(connected.clone(), $($argument),*);
                connected.call(stringify!($blocking), call).await
            })
        }
    };
}

/// Adds both functions of each pair to a module.
macro_rules! add_pairs {
    ($module:ident: $($function:ident),* $(,)?) => {
        $($module.add_function(pyo3::wrap_pyfunction!($function, $module)?)?;)*
    };
}
