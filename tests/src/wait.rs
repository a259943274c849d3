//! Waiting with a deadline: never a plain sleep.

use std::time::{Duration, Instant};

/// How long most things may take. They take a second or two; a machine that does three other things takes longer.
pub const SOON: Duration = Duration::from_secs(30);

/// How long a drain may take.
pub const DRAIN: Duration = Duration::from_secs(90);

/// How often is looked.
const INTERVAL: Duration = Duration::from_millis(100);

/// Looks until the closure gives a value; what it says last is in the panic at the deadline.
pub async fn until<T, F: AsyncFnMut() -> Result<T, String>>(deadline: Duration, what: &str, mut look: F) -> T {
    let started = Instant::now();
    loop {
        match look().await {
            Ok(value) => return value,
            Err(last) if started.elapsed() >= deadline => {
                panic!("not within {deadline:?}: {what}; at last: {last}")
            }
            Err(_) => tokio::time::sleep(INTERVAL).await,
        }
    }
}

/// As [`until`], with the usual deadline.
pub async fn soon<T, F: AsyncFnMut() -> Result<T, String>>(what: &str, look: F) -> T {
    until(SOON, what, look).await
}

/// Looks for so long whether something stays true. For what must *not* happen; keep it short.
pub async fn stays<F: AsyncFnMut() -> Result<(), String>>(period: Duration, what: &str, mut look: F) {
    let started = Instant::now();
    while started.elapsed() < period {
        if let Err(problem) = look().await {
            panic!("did not stay so for {period:?}: {what}; after {:?}: {problem}", started.elapsed());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// `Ok` if it is so, else what there is instead.
pub fn check(is_so: bool, instead: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(instead()) }
}
