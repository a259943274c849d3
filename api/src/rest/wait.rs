//! Answers that are held: until the caches show what was written, and with `?wait=60s` until there is something to say.

use std::{sync::Arc, time::Duration};

use careen_core::{cluster::Snapshot, duration::GoDuration};
use serde::Deserialize;
use serde_json::json;
use tokio::{sync::Semaphore, time::timeout};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, schema::Schema},
};

use super::{Account, Api, schema::packed_value};
use crate::shutdown::Shutdown;

/// No answer is held for longer: proxies give up after a minute or so, and the frame's own time-out is a little later.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);
/// An answer that is held is there so long after its request came: before the frame's own time-out, however slow it was
/// to find out who calls, and to write.
const ANSWERED_WITHIN: Duration = Duration::from_secs(70);
/// So many answers are held at the same time: half of the requests that are answered at the same time, so that those
/// who wait do not keep others out. Whoever comes then is answered at once, as if the time were up.
const MOST: usize = 256;

/// A write is in the caches within milliseconds, unless a watch has just broken: then nobody waits for it.
const SHOWN_WITHIN: Duration = Duration::from_secs(1);

/// How long an answer may be held: up to 60 s.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Wait(Duration);

impl TryFrom<String> for Wait {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wait = text.parse::<GoDuration>().map_err(|error| error.to_string())?.get();
        if wait <= LONGEST { Ok(Self(wait)) } else { Err(format!("an answer is held for at most {LONGEST:?}")) }
    }
}

impl PartialSchema for Wait {
    fn schema() -> RefOr<Schema> {
        packed_value(json!({ "type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$", "maxLength": 32 }))
    }
}

impl ToSchema for Wait {}

/// Those who wait. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Waits {
    permits: Arc<Semaphore>,
    shutdown: Shutdown,
}

impl Waits {
    pub(super) fn new(shutdown: Shutdown) -> Self {
        Self { permits: Arc::new(Semaphore::new(MOST)), shutdown }
    }
}

impl Api {
    /// Waits until the caches show what was written: who reads next, here, finds it.
    pub(crate) async fn until_shown(&self, is_shown: impl Fn(&Snapshot) -> bool) {
        timeout(SHOWN_WITHIN, self.operations.until(is_shown)).await.ok();
    }

    /// Waits until the caches show it, the time is up, or the server stops.
    pub(super) async fn wait_until(&self, wait: Option<Wait>, account: &Account, is_so: impl Fn(&Snapshot) -> bool) {
        let (Some(Wait(wait)), Ok(_permit)) = (wait, self.waits.permits.try_acquire()) else { return };
        let wait = wait.min(ANSWERED_WITHIN.saturating_sub(account.age()));
        let shown = async {
            tokio::select! {
                biased;
                () = self.waits.shutdown.requested() => {}
                () = self.operations.until(is_so) => {}
            }
        };
        // That the time is up is no failure.
        timeout(wait, shown).await.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_held_for_a_minute_at_most() {
        for (text, expected) in [("60s", Some(60)), ("1m", Some(60)), ("0s", Some(0)), ("61s", None), ("60", None)] {
            let wait = Wait::try_from(text.to_owned());
            assert_eq!(wait.ok().map(|Wait(wait)| wait.as_secs()), expected, "{text}");
        }
    }
}
