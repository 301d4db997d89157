//! The command line's program; see the library for everything.

use std::process::ExitCode;

fn main() -> ExitCode {
    agentctl::main()
}
