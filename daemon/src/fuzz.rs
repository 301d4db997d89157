//! Properties of everything in the daemon that reads what comes from a file or
//! a socket. Each takes any bytes and panics if it does not hold for them.
//!
//! `tests/fuzz` looks for such bytes; the test of this module runs what was
//! found once, and the examples to begin with, as part of `cargo test`.

pub use crate::{
    agents::stream::fuzz::check as stream,
    config::fuzz::{check as config, variables},
    process::fuzz::check as process,
    rpc::fuzz::request,
    spool::fuzz::check as spool,
    store::fuzz::check as store,
    transcript::fuzz::{read as transcript_read, write as transcript_write},
    workspace::fuzz::check as workspace,
};
use crate::{rpc, runner, spool as files};

/// The messages between daemon and runner, in both directions; and a result
/// that is read from a file arrives at the daemon as it was.
pub fn runner_wire(data: &[u8]) {
    runner::fuzz::order(data);
    rpc::fuzz::runner(data);
    if let Some(result) = files::fuzz::result(data) {
        rpc::fuzz::arrives(&runner::fuzz::told(&result), &result);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// Runs a property over the seeds of its target.
    fn replay(target: &str, property: fn(&[u8])) {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/seeds");
        let mut seen = 0;
        for seed in fs::read_dir(seeds.join(target)).unwrap() {
            let path = seed.unwrap().path();
            // Shown if the property panics.
            println!("{}", path.display());
            property(&fs::read(&path).unwrap());
            seen += 1;
        }
        assert!(seen > 0, "{target} has no seed");
    }

    macro_rules! replay {
        ($($target:ident),+ $(,)?) => {
            $(#[test]
            fn $target() {
                replay(stringify!($target), super::$target);
            })+
        };
    }
    replay!(
        config,
        process,
        request,
        runner_wire,
        spool,
        store,
        stream,
        transcript_read,
        transcript_write,
        variables,
        workspace,
    );
}
