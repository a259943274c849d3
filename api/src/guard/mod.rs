//! Nothing that another web page could send is obeyed.
//!
//! A browser sends requests to `127.0.0.1` for whatever page is open in it. A page cannot hide where it comes from: the
//! browser says so in `Host`, `Origin` and `Sec-Fetch-Site`. Programs send no `Origin` and no `Sec-Fetch-Site`, and are
//! not concerned.
//!
//! | file | holds |
//! |---|---|
//! | `judge` | the rule, pure |
//! | `layer` | the rule around a service |

mod judge;
mod layer;

pub use judge::{Hosts, Refused, judge};
pub use layer::Guard;
