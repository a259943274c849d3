//! virt-api: what it answers is decided by pure functions over the objects concerned, which the adapter gets live.
//!
//! | module | holds |
//! |---|---|
//! | [`eviction`] | the webhook for evictions of launcher pods |
//! | [`migration`] | the webhook for new migrations |
//! | [`admission`] | what users may make and change |
//! | [`subresources`] | `/apis/subresources.kubevirt.io`: which requests there are |
//! | [`evacuate_cancel`] | `…/evacuate/cancel` |
//! | [`migrate`] | `…/migrate` |
//! | [`answer`] | what a subresource answers |
//! | [`adapter`] | a client of the API server around all this |

pub mod adapter;
pub mod admission;
pub mod answer;
mod evacuate_cancel;
pub mod eviction;
mod migrate;
pub mod migration;
pub mod subresources;

pub use adapter::VirtApi;

use serde_json::{Value, json};

/// The response of an `AdmissionReview` that lets a request pass.
fn allowed(review: &Value) -> Value {
    json!({"uid": review["request"]["uid"], "allowed": true})
}

/// The response of an `AdmissionReview` that stops a request.
fn denied(review: &Value, status: Value) -> Value {
    let mut response = json!({"uid": review["request"]["uid"], "allowed": false});
    response["status"] = status;
    response
}
