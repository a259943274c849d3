//! KubeVirt's live migrations and evacuation marks.
//!
//! | file | holds |
//! |---|---|
//! | `requests` | the calls: make and delete a migration, delete a VMI, take an evacuation mark back |
//! | `answer` | what their answers mean |
//! | `cancel` | what a stop takes back, and in which order; pure |
//! | `take_back` | carries that out |
//! | `progress` | how a VM's migration is doing, and its place in KubeVirt's queue; pure |

mod answer;
mod cancel;
mod progress;
mod requests;
mod take_back;

pub use answer::{Outcome, RequestError};
pub use cancel::{CancelStep, Cancellation, Left, LeftReason, has_to_take_back, is_safe_to_abort, next_cancel_steps};
pub use progress::{MigrationProgress, Queue, QueuePlace, WaitsFor, migration_progress};
pub use requests::{Requester, cancel_evacuation, create_migration, delete_instance, delete_migration, get_instance};
pub use take_back::take_back;
