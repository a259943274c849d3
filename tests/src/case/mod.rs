//! What one case has: its nodes, its namespace, its maintenances. All of their names begin with the case's id.
//!
//! | file | holds |
//! |---|---|
//! | `nodes` | its nodes, and how they look |
//! | `maintenances` | its maintenances, and what they say |
//! | `history` | what a maintenance's status was over time |
//! | `end` | what there is to know when it fails, and what is removed |

mod end;
mod history;
mod maintenances;
mod nodes;

use std::{cell::RefCell, panic::AssertUnwindSafe, time::Duration};

use futures::{FutureExt, future::LocalBoxFuture};
use libtest_mimic::Failed;
use serde_json::{Value, json};

pub use history::History;
pub use maintenances::{Refusal, blocking, summary};
pub use nodes::{NodeLook, has_taint, is_taken_out, record_of};

use crate::{audit::Requests, kubectl::Output, objects::Cluster, suite::Suite};

/// Label on nodes: the case that they belong to.
pub const CASE_LABEL: &str = "careen-test/case";

/// The taint of a maintenance.
pub const DRAIN_TAINT: &str = "medik8s.io/drain";

/// The record of what was done to a node.
pub const RECORD: &str = "careen.dev/record";

/// Namespace of the node Leases.
pub const NODE_LEASES: &str = "medik8s-leases";

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// A few letters that no other case has.
    pub id: String,
    /// Its namespace.
    pub namespace: String,
    /// What it shares with all others.
    pub suite: &'static Suite,
}

/// No case hangs for longer than this.
const LIMIT: Duration = Duration::from_secs(300);

/// What a case does.
pub type Body = fn(Case) -> LocalBoxFuture<'static, ()>;

thread_local! {
    /// The last panic on this thread, with its place.
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps panics quiet until the case's report.
pub fn keep_panics() {
    std::panic::set_hook(Box::new(|panic| LAST_PANIC.set(panic.to_string())));
}

/// Runs a case, cleans up after it, and says what there is to know when it fails.
pub fn run(suite: &'static Suite, id: String, needs_careen: bool, body: Body) -> Result<(), Failed> {
    let case = Case { namespace: id.clone(), id, suite };
    suite.block_on(async {
        if needs_careen {
            suite.start_careen().await?;
        }
        let attempt = async {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": case.namespace}});
            case.cluster().create(namespace).await;
            let in_time = tokio::time::timeout(LIMIT, body(case.clone())).await;
            assert!(in_time.is_ok(), "the case hangs: it was not over within {LIMIT:?}");
        };
        let outcome = AssertUnwindSafe(attempt).catch_unwind().await;
        let failure = match outcome {
            Ok(()) => None,
            Err(_) => Some(format!("{}\n\n{}", LAST_PANIC.take(), case.report().await)),
        };
        let left_behind = AssertUnwindSafe(case.clean_up()).catch_unwind().await;
        match (failure, left_behind) {
            (Some(failure), _) => Err(Failed::from(failure)),
            (None, Ok(None)) => Ok(()),
            (None, Ok(Some(left))) => Err(Failed::from(left)),
            (None, Err(_)) => Err(Failed::from(format!("clean-up: {}", LAST_PANIC.take()))),
        }
    })
}

impl Case {
    /// The cluster, as its administrator.
    #[must_use]
    pub fn cluster(&self) -> &'static Cluster {
        &self.suite.cluster
    }

    /// A name of its own.
    #[must_use]
    pub fn name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.id)
    }

    /// kubectl, as the administrator.
    pub async fn kubectl(&self, arguments: &[&str], stdin: &str) -> Output {
        self.suite.kubectl(arguments, stdin).await
    }

    /// The evictions that Careen asked for in this case's namespace.
    #[must_use]
    pub fn evictions(&self) -> crate::audit::Evictions {
        let audit = self.suite.audit();
        audit.since(audit.beginning()).evictions(|object| object.namespace == self.namespace)
    }

    /// Everything that Careen wrote about this case.
    #[must_use]
    pub fn writes(&self) -> Requests {
        let audit = self.suite.audit();
        let id = format!("{}-", self.id);
        audit.since(audit.beginning()).of_careen().that(|request| {
            request.is_write()
                && (request.object.namespace == self.namespace
                    || request.object.name.starts_with(&id)
                    || request.object.name.starts_with(&format!("node-{id}")))
        })
    }
}

/// A JSON merge patch, done here.
pub fn merge(object: &mut Value, patch: Value) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    object.remove(&key);
                } else {
                    merge(object.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (object, patch) => *object = patch,
    }
}
