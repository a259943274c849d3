//! | module | says |
//! |---|---|
//! | `bed` | a cluster with KubeVirt, and somebody who watches it |
//! | `definitions` | what an installed KubeVirt brings |
//! | `start_and_end` | how VMs start and end |
//! | `run_strategies` | what a VM's run strategy does |
//! | `eviction_answers` | the table of answers to evictions |
//! | `evacuation` | what an eviction sets going |
//! | `failures` | migrations that fail, and find no node |
//! | `cancel` | migrations that are cancelled |
//! | `limits` | how many migrate at once |
//! | `subresources` | virt-api's own API |
//! | `unreachable` | nodes of which nothing is heard |

mod bed;
mod cancel;
mod definitions;
mod evacuation;
mod eviction_answers;
mod failures;
mod limits;
mod run_strategies;
mod start_and_end;
mod subresources;
mod unreachable;
