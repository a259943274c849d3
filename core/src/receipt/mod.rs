//! Receipts of requests that are sent once only: who repeats one is told what became of the first.
//!
//! | file | holds |
//! |---|---|
//! | `duty` | what the leader has to do about a receipt; pure |
//! | `requests` | the writes of the `ConfigMap` that a receipt is |

mod duty;
mod requests;

pub(crate) use duty::{Duty, duty};
pub(crate) use requests::Receipts;

/// So many receipts are kept: with 24 hours for each, one new maintenance in 90 s, day and night.
pub(crate) const MOST: usize = 1000;
