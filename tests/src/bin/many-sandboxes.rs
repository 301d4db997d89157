//! Becomes another program, in as many sandboxes as the kernel puts into each
//! other, of which none forbids anything: it can be put into no further one.

use std::{env, error::Error, os::unix::process::CommandExt as _, path::Path};

use agentd_tests::command;
use landlock::{
    AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError,
};

/// Layers that the kernel has room for (landlock(7)).
const LAYERS: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let (program, args) = args.split_first().ok_or("what to run is missing")?;
    for _ in 0..LAYERS {
        layer()?;
    }
    let mut next = command(Path::new(program), Path::new("/"));
    next.env_clear().envs(env::vars_os()).args(args);
    Err(next.exec().into())
}

fn layer() -> Result<(), RulesetError> {
    let everywhere = PathFd::new("/").expect("a root directory");
    let rules = Ruleset::default().handle_access(AccessFs::MakeBlock)?;
    let rules = rules.create()?;
    let rules = rules.add_rule(PathBeneath::new(everywhere, AccessFs::MakeBlock))?;
    rules.restrict_self()?;
    Ok(())
}
