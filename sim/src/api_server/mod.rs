//! The Kubernetes API on a store in memory.
//!
//! | module | holds |
//! |---|---|
//! | [`refusal`] | the answers that are no success: `meta/v1.Status` |
//! | [`resource_type`] | what the server knows of a kind |
//! | [`field_selector`] | `?fieldSelector=` |
//! | [`patch`] | JSON, merge and strategic merge patches |
//! | [`schema`] | decoding, unknown fields, defaults and validation of objects |
//! | [`custom`] | kinds that a CustomResourceDefinition brings |
//! | [`table`] | what `kubectl get` prints |
//! | [`openapi`] | `/openapi/v2` and `/openapi/v3` |

pub mod custom;
pub mod field_selector;
pub mod openapi;
pub mod patch;
pub mod refusal;
pub mod resource_type;
pub mod schema;
pub mod table;
