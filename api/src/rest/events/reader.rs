//! Who reads streams: so many at once for each, and whether they still may.

use crate::rest::{frame::Admission, problem::Problem};

/// So many streams one caller has at once: a console that follows ten nodes, in two windows. Fifty callers fill the
/// server.
pub(super) const MAX_FOR_EACH: usize = 20;

/// Who reads a stream.
pub(crate) trait Reader: Send + Sync + 'static {
    /// Their name.
    fn name(&self) -> &str;
    /// Whether they may still see what it shows.
    fn still_may(&self) -> impl Future<Output = Result<(), Problem>> + Send;
}

impl Reader for Admission {
    fn name(&self) -> &str {
        self.user()
    }

    async fn still_may(&self) -> Result<(), Problem> {
        self.still_holds().await
    }
}
