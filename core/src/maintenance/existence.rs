//! Whether the maintenance that a record names is gone.

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject},
};

use super::NodeMaintenance;
use crate::{
    answer::{Answer, REQUEST_TIMEOUT},
    model::Actor,
};

/// Why it is not known whether a maintenance is gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unconfirmed {
    /// A server that does not serve the kind has confirmed nothing.
    #[error("the API server does not serve NodeMaintenances")]
    NotServed,
    /// It may not be read, or the API server refuses to say.
    #[error("{0}")]
    Refused(String),
    /// No answer; it may come later.
    #[error("{0}")]
    Unavailable(String),
}

/// Asks the API server whether the maintenance that acted is gone: there is none of its name, or another.
pub async fn maintenance_is_gone(client: &Client, actor: &Actor) -> Result<bool, Unconfirmed> {
    // Not decoded as a NodeMaintenance: one that cannot be read lives all the same.
    let api = Api::<DynamicObject>::all_with(client.clone(), &ApiResource::erase::<NodeMaintenance>(&()));
    match Answer::within(REQUEST_TIMEOUT, api.get(&actor.name)).await {
        Answer::Done(object) => Ok(object.metadata.uid.as_deref() != Some(actor.uid.as_str())),
        Answer::Refused(status) if status.is_not_found() => {
            let names_it = status.details.as_ref().is_some_and(|details| details.name == actor.name);
            if names_it { Ok(true) } else { Err(Unconfirmed::NotServed) }
        }
        Answer::Refused(status) => Err(Unconfirmed::Refused(status.message)),
        Answer::Unavailable(error) => Err(Unconfirmed::Unavailable(error.to_string())),
        Answer::TimedOut => Err(Unconfirmed::Unavailable("no answer from the API server".to_owned())),
    }
}
