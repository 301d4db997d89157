//! The real agent CLIs against the model endpoint: that the one is content with
//! what the other says, and says of it what the daemon builds on.

#![expect(clippy::unwrap_used, reason = "tests")]

mod claude;
mod codex;
mod crash;
mod daemon;
mod input;
mod kind;
mod provider;
mod sandbox;
mod sessions;
mod shop;
mod spend;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use agentd_tests::{
    Output, Repo, command,
    model::{ModelEndpoint, Purpose, Script},
};
use serde_json::Value;
use tempfile::TempDir;

/// A home, a repository, and the model that agents there speak to.
struct World {
    dir: TempDir,
    repo: Repo,
    endpoint: ModelEndpoint,
}

impl World {
    fn new(script: Script) -> Self {
        let dir = TempDir::new().unwrap();
        let home = dir.path().join("home");
        fs::create_dir(&home).unwrap();
        fs::create_dir(dir.path().join("tmp")).unwrap();
        Self {
            repo: Repo::new(&dir.path().join("repo"), &home),
            endpoint: ModelEndpoint::start(script),
            dir,
        }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// A linked worktree on a branch of its own.
    fn worktree(&self) -> PathBuf {
        let path = self.dir.path().join("worktree");
        let arg = path.to_str().unwrap();
        self.repo
            .git(&["worktree", "add", "-q", "-b", "agent/1", arg]);
        path
    }

    /// A program that works in this directory, and asks the endpoint for
    /// whatever it wants from the rest of the world.
    fn program(&self, program: &Path, dir: &Path) -> Command {
        let mut command = command(program, &self.home());
        command
            .envs(self.endpoint.proxy())
            .env("TMPDIR", self.dir.path().join("tmp"))
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Every request so far was a step of the agent's work: no other is asked
    /// of the model, and none of anybody else.
    #[track_caller]
    fn only_turns(&self, count: usize) {
        let requests = self.endpoint.requests();
        let purposes: Vec<Purpose> = requests.iter().map(|request| request.purpose).collect();
        assert_eq!(purposes, vec![Purpose::Turn; count], "{:?}", paths(self));
    }
}

fn paths(world: &World) -> Vec<String> {
    let requests = world.endpoint.requests();
    let paths = requests.iter();
    paths
        .map(|request| format!("{} {}", request.method, request.path))
        .collect()
}

/// What came of a call of a CLI.
#[derive(Debug)]
struct Run {
    output: Output,
    events: Vec<Value>,
}

impl Run {
    /// The events of this type.
    fn of(&self, kind: &str) -> Vec<&Value> {
        let events = self.events.iter();
        events.filter(|event| event["type"] == kind).collect()
    }

    /// The only event of this type.
    #[track_caller]
    fn one(&self, kind: &str) -> &Value {
        let [event] = self.of(kind)[..] else {
            panic!("not one {kind}: {self:?}");
        };
        event
    }
}

/// Starts it and gives it its prompt.
fn start(mut command: Command, prompt: &str) -> Child {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may end without having read it.
    stdin.write_all(prompt.as_bytes()).ok();
    child
}

/// Waits for its end.
fn wait(child: Child) -> Run {
    let output = Output::wait(child);
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    Run {
        events: lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect(),
        output,
    }
}
