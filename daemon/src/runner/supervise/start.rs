//! The start of the agent, and of the one that may follow it.

use std::{path::PathBuf, time::Instant};

use super::Supervisor;
use crate::{
    clock,
    runner::{
        agent::{self, Agent, Program, SpawnError},
        machine::Event,
        wire::Started,
    },
    spool::Stdin,
};

impl Supervisor {
    pub(super) fn spawn(&mut self) -> Event {
        let program = Program {
            argv: &self.launch.argv,
            env: &self.launch.env,
            stdin: self.prompt(self.dir.prompt()),
        };
        let spawned = agent::spawn(&self.launch, &program);
        self.spawned(spawned)
    }

    /// Starts what is run instead of an agent that did not know its session,
    /// and of whose tree nothing is left.
    pub(super) fn spawn_afresh(&mut self) -> Event {
        let not_started = |message: &str| Event::NotStarted {
            message: message.to_owned(),
            missing: false,
        };
        let Some(fallback) = self.launch.fallback.take() else {
            return not_started("there is nothing else to run");
        };
        let (outside, _) = self.close_leaf();
        if outside > 0 {
            return not_started("a process of the first one could not be ended");
        }
        let program = Program {
            argv: &fallback.argv,
            env: &fallback.env,
            stdin: self.prompt(self.dir.fresh_prompt()),
        };
        let spawned = agent::spawn(&self.launch, &program);
        if spawned.is_ok() {
            // What the first one said explains its own failure only.
            self.output.begin_afresh(&fallback.session);
            self.tell_news(Instant::now());
        }
        self.spawned(spawned)
    }

    fn prompt(&self, file: PathBuf) -> Option<PathBuf> {
        match self.launch.stdin {
            Stdin::Prompt => Some(file),
            Stdin::Empty => None,
        }
    }

    fn spawned(&mut self, spawned: Result<Agent, SpawnError>) -> Event {
        match spawned {
            Ok(spawned) => {
                // Its time counts from the first start on.
                let first = self.agent.as_ref().map(|first| first.at);
                let started = Started {
                    agent: spawned.identity,
                    at: first.unwrap_or_else(|| clock::moment(self.boot)),
                };
                self.output.attach(spawned.stdout, spawned.stderr);
                spawned.notes.iter().for_each(|note| self.output.note(note));
                self.leaf = spawned.leaf;
                self.link.started(started.clone());
                self.agent = Some(started);
                Event::Started
            }
            Err(error) => Event::NotStarted {
                message: error.message,
                missing: error.missing,
            },
        }
    }
}
