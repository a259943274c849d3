//! The Careen server: the command line, the service around the engine ([`careen_core`]), and its telemetry.
//!
//! | file | holds |
//! |---|---|
//! | `args` | the command line and its environment variables |
//! | `error` | how a command fails: one line, and an exit status |
//! | `crd` | `careen crd` |
//! | `serve` | `careen serve`: the service on the cluster of a kubeconfig |
//! | `demo` | `careen demo`: the service on a cluster in memory, and a story (feature `demo`) |
//! | `door`, `tls` | where HTTP is answered, who comes in, and TLS |
//! | `service`, `parts` | what the service is, and how what runs in it ends |
//! | `rest` | the REST service |
//! | `notify` | call-backs: what becomes of maintenances is told to a receiver |
//! | `graphql` | GraphQL |
//! | `answers` | what changes answer with, in both faces |
//! | `auth` | who calls, and what they may do |
//! | `per_caller` | so many at once for each caller |
//! | `guard` | nothing that another web page could send is obeyed |
//! | `identity` | who this replica is |
//! | `health` | `/livez`, `/readyz`, `/metrics` |
//! | `prerequisites` | says what the cluster lacks, and the command that adds it |
//! | `shutdown` | the signals that end the server |
//! | `telemetry` | the log |

mod answers;
mod args;
mod auth;
mod crd;
#[cfg(feature = "demo")]
mod demo;
mod door;
mod error;
mod graphql;
pub mod guard;
pub mod health;
mod identity;
mod notify;
mod parts;
mod per_caller;
mod prerequisites;
pub mod rest;
mod serve;
mod service;
mod shutdown;
mod telemetry;
mod tls;

use std::{ffi::OsString, process::ExitCode};

use args::Command;
use error::Error;

/// Runs the command that the arguments name. A failure is one line on stderr.
pub fn command_line(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = match args::parse(arguments) {
        Ok(command) => command,
        Err(no_command) => return no_command.tell(),
    };
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.tell(),
    }
}

fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Serve(args) => {
            telemetry::start(args.log_format)?;
            run_to_end(serve::serve(*args))
        }
        #[cfg(feature = "demo")]
        Command::Demo(args) => {
            if args.no_story || std::env::var_os("RUST_LOG").is_some() {
                telemetry::start(None)?;
            }
            run_to_end(demo::demo(args))
        }
        Command::Crd => crd::print(),
        Command::Openapi => rest::openapi::print(),
        Command::Schema => graphql::schema::print(),
    }
}

fn run_to_end(command: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let runtime = tokio::runtime::Runtime::new().map_err(Error::Runtime)?;
    let result = runtime.block_on(command);
    // A name that is still being looked up, or a key that is not pressed, must not hold up the end.
    runtime.shutdown_background();
    result
}
