//! The harness of Careen's end-to-end suite: what a case needs to play a person, a cluster and KubeVirt around the real
//! binary. The cases themselves are in `cases/`.
//!
//! Objects are plain JSON here, so that the cases see what every other client of the cluster sees, and not what
//! Careen's own types make of it.
//!
//! | module | holds |
//! |---|---|
//! | [`control_plane`] | the cluster: the real control plane that `controlplane/` starts, or one in memory |
//! | [`in_memory`] | the one in memory |
//! | [`careen`] | the binary, and `careen serve` as a process |
//! | [`demo`] | `careen demo` as a process |
//! | [`suite`] | what all cases share: one of each, and the clean-up |
//! | [`case`] | what one case has: its nodes, its namespace, its maintenances |
//! | [`objects`], `again` | Kubernetes objects as JSON: read, write, delete, once more where the API server is busy |
//! | [`nodes`] | what plays the kubelets of its nodes |
//! | [`workloads`] | ordinary workloads that run on them |
//! | [`wait`] | waiting with a deadline |
//! | [`audit`] | the audit log: who asked for what |
//! | [`receiver`], `tls` | a receiver of call-backs; TLS for who serves on loopback |
//! | [`rest`] | the REST service, as a caller with a token sees it |
//! | [`kubectl`] | kubectl, as a person uses it |
//! | [`kubevirt`] | KubeVirt, and VMs |

mod again;
pub mod audit;
pub mod careen;
pub mod case;
pub mod control_plane;
pub mod demo;
pub mod in_memory;
pub mod kubectl;
pub mod kubevirt;
pub mod nodes;
pub mod objects;
pub mod receiver;
pub mod rest;
pub mod suite;
mod tls;
pub mod wait;
pub mod workloads;

/// The root of the repository.
#[must_use]
pub fn repository() -> &'static std::path::Path {
    std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
