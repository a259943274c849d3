//! The cases on the real control plane of `controlplane/`.

#[path = "mod.rs"]
mod cases;

use std::process::ExitCode;

use careen_tests::control_plane::Kind;

fn main() -> ExitCode {
    cases::run(Kind::Real)
}
