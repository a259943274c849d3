//! The `careen` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    careen::command_line(std::env::args_os())
}
