//! The program `agentd`.

use std::{env, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    match &arguments[..] {
        [verb, dir] if verb == "runner" => agentd::runner::run(Path::new(dir)),
        _ => ExitCode::from(2),
    }
}
