//! A Kubernetes cluster in memory, with virtual machines: good enough that `kubectl` and a controller cannot tell the
//! difference where it matters. It knows Kubernetes and KubeVirt, and nothing of Careen's engine.
//!
//! | module | holds |
//! |---|---|
//! | [`api_server`] | the Kubernetes API on a store in memory: a tower service in process, HTTP on loopback |
//! | [`actors`] | what plays scheduler, kubelet, workload controllers and KubeVirt: ordinary clients of any API server |
//! | [`cluster`] | both together: a cluster in one call |
//! | [`objects`] | objects in a line each |
//! | [`clock`] | virtual, scaled or real time |
//! | [`selector`] | label selectors |

pub mod actors;
pub mod api_server;
pub mod clock;
pub mod cluster;
pub mod objects;
pub mod selector;
