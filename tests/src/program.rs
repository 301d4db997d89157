//! The programs under test, and the agent that misbehaves.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// A program of the workspace, built beside this test.
///
/// # Panics
/// If it has not been built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let path = profile().join(name);
    assert!(
        path.is_file(),
        "{} is missing: run cargo build --workspace first",
        path.display()
    );
    path
}

/// Where cargo puts what it builds with this profile.
fn profile() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own program");
    // target/<profile>/deps/<test>, or target/<profile>/<program>.
    let mut dirs = test.ancestors().skip(1);
    let profile = dirs.find(|dir| dir.file_name().is_none_or(|name| name != "deps"));
    profile.expect("a program is in a directory").to_owned()
}

/// Cargo's target directory.
///
/// # Panics
/// If this program was not built by cargo.
pub(crate) fn target() -> PathBuf {
    let profile = profile();
    let target = profile
        .parent()
        .expect("a profile is in the target directory");
    target.to_owned()
}

/// The command line of the agent that misbehaves as `args` say.
///
/// # Panics
/// If it has not been built.
#[must_use]
pub fn fake_agent<'a>(args: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let program = program("fake-agent");
    let mut line = vec![
        program
            .to_str()
            .expect("paths of tests are text")
            .to_owned(),
    ];
    line.extend(args.into_iter().map(str::to_owned));
    line
}

/// A command with a clean environment.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where tests start programs"
)]
pub fn command(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("HOME", home)
        .env("PATH", env::var_os("PATH").unwrap_or_default());
    command
}

/// The same call of another program, for example of a copy.
#[must_use]
pub fn like(call: &Command, program: &Path) -> Command {
    let mut other = command(program, Path::new("/"));
    other.args(call.get_args());
    for (name, value) in call.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    other
}
