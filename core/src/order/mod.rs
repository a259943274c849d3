//! A drain that is ordered over the network: durable, carried out by the leader, seen from any replica.
//!
//! | file | holds |
//! |---|---|
//! | `duty` | what the leader has to do about an order; pure |
//! | `requests` | the writes of the `ConfigMap` that an order is |

mod duty;
mod requests;

pub use crate::config_map::ConfigMapError;
pub use duty::{Duty, duty, obsolete_at};
pub(crate) use requests::Orders;
