//! What the stream of one resource shows.

use axum::response::sse::Event;
use careen_core::{
    model::{NodeName, Uid},
    view::{DrainView, MaintenanceView, NodeStateView, Views},
};
use serde::Serialize;

use super::{
    happening::{About, Happening, json},
    stream::{Shown, Source},
};
use crate::rest::Api;

/// Everything.
pub(in crate::rest) struct Everything(pub(in crate::rest) Api);

/// One maintenance, until it has ended.
pub(in crate::rest) struct OfMaintenance {
    pub(in crate::rest) api: Api,
    pub(in crate::rest) name: String,
    /// Not an earlier one of that name, whose end may be told only now. `None`: where its client went on, it was
    /// whichever had the name.
    pub(in crate::rest) uid: Option<Uid>,
}

/// The drain of one node, until it is forgotten.
pub(in crate::rest) struct OfDrain {
    pub(in crate::rest) api: Api,
    pub(in crate::rest) node: NodeName,
    /// As the UID of a maintenance.
    pub(in crate::rest) id: Option<Uid>,
}

/// All that the stream of everything is about.
#[derive(Serialize)]
struct All {
    nodes: Vec<NodeStateView>,
    maintenances: Vec<MaintenanceView>,
    drains: Vec<DrainView>,
}

impl Source for Everything {
    type Payload = Happening;

    fn show(&self, happening: &Happening) -> Shown {
        Shown::Event(happening.event())
    }

    fn snapshot(&self) -> Shown {
        let views = views(&self.0);
        let all = All {
            nodes: views.node_states().collect(),
            maintenances: views.maintenances().collect(),
            drains: views.drains().collect(),
        };
        Shown::Event(Event::default().data(json(&all)))
    }
}

impl Source for OfMaintenance {
    type Payload = Happening;

    fn show(&self, happening: &Happening) -> Shown {
        match &happening.about {
            About::Maintenance { name, uid } if *name == self.name && is_it(self.uid.as_ref(), uid) => one(happening),
            _ => Shown::Nothing,
        }
    }

    fn snapshot(&self) -> Shown {
        one_or_none(views(&self.api).maintenance(&self.name).as_ref())
    }
}

impl Source for OfDrain {
    type Payload = Happening;

    fn show(&self, happening: &Happening) -> Shown {
        match &happening.about {
            About::Drain { node, id } if *node == self.node && is_it(self.id.as_ref(), id) => one(happening),
            _ => Shown::Nothing,
        }
    }

    fn snapshot(&self) -> Shown {
        one_or_none(views(&self.api).drain(&self.node).as_ref())
    }
}

fn is_it(wanted: Option<&Uid>, found: &Uid) -> bool {
    wanted.is_none_or(|wanted| wanted == found)
}

fn one(happening: &Happening) -> Shown {
    if happening.is_the_end { Shown::Last(happening.event()) } else { Shown::Event(happening.event()) }
}

/// `null`, and nothing more, if it is gone.
fn one_or_none<T: Serialize>(view: Option<&T>) -> Shown {
    let event = Event::default().data(json(&view));
    if view.is_some() { Shown::Event(event) } else { Shown::Last(event) }
}

/// The caches may not be filled at this moment: a stream has been opened on filled ones.
fn views(api: &Api) -> Views {
    Views::of(api.known(), api.now())
}
