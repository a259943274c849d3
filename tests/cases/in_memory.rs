//! The same cases on the cluster in memory.

#[path = "mod.rs"]
mod cases;

use std::process::ExitCode;

use careen_tests::control_plane::Kind;

fn main() -> ExitCode {
    cases::run(Kind::InMemory)
}
