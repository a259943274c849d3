//! What happens, as clients get it: made once, for all of them.

use std::time::Duration;

use axum::response::sse::Event;
use careen_core::{
    clock::Clock,
    cluster::Cluster,
    model::{NodeName, Uid},
    view::{ChangeView, Views},
};
use serde::Serialize;

use super::log::EventLog;

/// Changes are looked for this often at most: what changes many times in between is told once, and a storm of changes
/// costs ten looks a second.
const PACE: Duration = Duration::from_millis(100);
/// What caches know is in the log within this time, on a busy machine too.
pub(super) const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// Something that has happened.
#[derive(Debug)]
pub(crate) struct Happening {
    pub(super) about: About,
    /// Whether nothing more can happen to that.
    pub(super) is_the_end: bool,
    name: &'static str,
    json: String,
}

/// What it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum About {
    Node,
    Maintenance { name: String, uid: Uid },
    Drain { node: NodeName, id: Uid },
}

impl Happening {
    fn of(change: &ChangeView) -> Self {
        let (about, json) = match change {
            ChangeView::NodeChanged(node) | ChangeView::NodeGone(node) => (About::Node, json(node)),
            ChangeView::MaintenanceChanged(view) | ChangeView::MaintenanceEnded(view) => {
                (About::Maintenance { name: view.name.clone(), uid: view.uid.clone() }, json(view))
            }
            ChangeView::DrainChanged(view) | ChangeView::DrainForgotten(view) => {
                (About::Drain { node: view.node.clone(), id: view.id.clone() }, json(view))
            }
        };
        Self { about, is_the_end: change.is_the_end(), name: change.name(), json }
    }

    /// The event.
    pub(super) fn event(&self) -> Event {
        Event::default().event(self.name).data(&self.json)
    }
}

/// A view, as JSON.
pub(super) fn json(view: &impl Serialize) -> String {
    // Strings, numbers and lists of them: this does not fail.
    serde_json::to_string(view).unwrap_or_default()
}

/// Tells what happens in that cluster, as long as this runs.
pub(super) async fn follow(cluster: Cluster, clock: Clock, log: EventLog<Happening>) {
    let mut changes = cluster.changes();
    cluster.ready().await;
    let mut before = Views::of(cluster.snapshot(), clock.now());
    loop {
        let (concerned, snapshot) = changes.next_in(&cluster).await;
        let after = Views::of(snapshot, clock.now());
        for change in after.changes_since(&before, &concerned) {
            let happening = Happening::of(&change);
            let size = happening.json.len();
            log.append(happening, size);
        }
        before = after;
        tokio::time::sleep(PACE).await;
    }
}
