//! The controller: carries maintenances and drain orders out, on the leader.
//!
//! | file | holds |
//! |---|---|
//! | `election` | stands for election and leads |
//! | `supervisor` | who works on what |
//! | `acting` | what whoever acts on a node has: the node Lease, the drain, what went wrong |
//! | `draining` | the steps that the drain of an order and that of a process have in common |
//! | `worker` | one accepted maintenance, from its start to its end |
//! | `steps`, `stop` | how its node goes out of service, and comes back |
//! | `report` | how a maintenance tells people how it is doing |
//! | `call_back`, `courier` | what is told to other programs, and how it is delivered |
//! | `order` | one drain order, from its start to its outcome |
//! | `process` | one drain in somebody's own process |
//! | `refusal` | what is not carried out is told so, once the node was looked at |
//! | `standing` | where a maintenance stands when the leader looks at it |
//! | `records`, `left_behind` | records on nodes whose maintenance or order is gone |
//! | `receipts` | receipts of requests that are sent once only |
//! | `news`, `gauges` | Kubernetes Events; how many maintenances there are, and what blocks, as metrics |
//! | `requests`, `overlay`, `pace`, `context` | writes to the resource, what was just written, when a status may be written, what all parts need |
//!
//! What waits for several things (`select!`) looks at them in an order (`biased`), those that end first: on one thread
//! the same cluster then gives the same history. None of them is always ready, so that each gets its turn.

mod acting;
mod call_back;
mod context;
mod courier;
mod draining;
mod election;
mod gauges;
mod left_behind;
mod news;
mod order;
mod overlay;
mod pace;
mod process;
mod receipts;
mod records;
mod refusal;
mod report;
mod requests;
mod standing;
mod steps;
mod stop;
mod supervisor;
mod worker;

pub use call_back::{CallBack, Deliver, Delivery, Undelivered};
pub use context::Settings;
pub use election::Controller;
pub use news::News;
pub use process::{DrainHere, DrainReport, ProcessDrain};

#[cfg(test)]
mod tests;
