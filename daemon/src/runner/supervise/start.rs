//! The start of the agent, of what comes before it, and of what may follow it.

use std::{path::PathBuf, time::Instant};

use super::Supervisor;
use crate::{
    clock,
    runner::{
        agent::{self, Agent, Program, SpawnError},
        machine::{Event, Stage},
        wire::{Begun, Started},
    },
    spool::Stdin,
    task::{attempt::ProcessIdentity, token::TOKEN},
};

fn not_started(message: &str) -> Event {
    Event::NotStarted {
        message: message.to_owned(),
        missing: false,
    }
}

impl Supervisor {
    pub(super) fn spawn(&mut self, stage: Stage) -> Event {
        match stage {
            Stage::Setup => {
                crashpoint!("runner.setup.before");
                self.spawn_setup()
            }
            Stage::Agent => {
                crashpoint!("runner.go");
                self.spawn_agent()
            }
            Stage::Afresh => {
                crashpoint!("runner.fallback.before");
                let event = self.spawn_afresh();
                crashpoint!("runner.fallback.after");
                event
            }
        }
    }

    /// Sets the repository up. Whatever runs then is not the agent and may not
    /// speak for it: it has no token.
    fn spawn_setup(&mut self) -> Event {
        self.note_launch();
        let Some(setup) = self.launch.setup.clone() else {
            return not_started("there is nothing to set it up with");
        };
        let mut env = self.launch.env.clone();
        env.remove(TOKEN);
        let program = Program {
            argv: &setup.argv,
            env: &env,
            stdin: None,
        };
        let words = setup.words();
        self.output.note(&format!("setup: {words}"));
        let spawned = agent::spawn(&self.launch, &program);
        self.spawned(Stage::Setup, spawned, |_| Begun::Setup(words))
    }

    /// What the daemon has to say comes first.
    fn note_launch(&mut self) {
        for note in std::mem::take(&mut self.launch.notes) {
            self.output.note(&note);
        }
    }

    /// What set the repository up has ended well, and nothing of it is left as
    /// far as we are its parent.
    fn end_setup(&mut self) -> Result<(), Event> {
        let (outside, _) = self.close_leaf();
        if outside > 0 {
            return Err(not_started("a process of its setup could not be ended"));
        }
        self.output.end_setup();
        let Some(setup) = &self.launch.setup else {
            return Ok(());
        };
        match setup.record_done() {
            Ok(()) => self.output.note("setup: done"),
            Err(error) => self.output.note(&format!(
                "setup: done; it will be done again for the next attempt, \
                 since that cannot be written down: {error}"
            )),
        }
        crashpoint!("runner.setup.after");
        Ok(())
    }

    fn spawn_agent(&mut self) -> Event {
        self.note_launch();
        if self.main.is_some()
            && let Err(event) = self.end_setup()
        {
            return event;
        }
        let program = Program {
            argv: &self.launch.argv,
            env: &self.launch.env,
            stdin: self.prompt(self.dir.prompt()),
        };
        let spawned = agent::spawn(&self.launch, &program);
        self.agent_spawned(Stage::Agent, spawned)
    }

    /// Starts what is run instead of an agent that did not know its session,
    /// and of whose tree nothing is left.
    fn spawn_afresh(&mut self) -> Event {
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
        self.agent_spawned(Stage::Afresh, spawned)
    }

    fn prompt(&self, file: PathBuf) -> Option<PathBuf> {
        match self.launch.stdin {
            Stdin::Prompt => Some(file),
            Stdin::Empty => None,
        }
    }

    fn agent_spawned(&mut self, stage: Stage, spawned: Result<Agent, SpawnError>) -> Event {
        // Its time counts from the first start on.
        let first = self.agent.as_ref().map(|first| first.at);
        let at = first.unwrap_or_else(|| clock::moment(self.boot));
        if let Ok(Agent { identity, .. }) = &spawned {
            let agent = identity.clone();
            self.agent = Some(Started { agent, at });
        }
        self.spawned(stage, spawned, |agent| Begun::Agent(Started { agent, at }))
    }

    fn spawned(
        &mut self,
        stage: Stage,
        spawned: Result<Agent, SpawnError>,
        begun: impl FnOnce(ProcessIdentity) -> Begun,
    ) -> Event {
        match spawned {
            Ok(spawned) => {
                self.output.attach(stage, spawned.stdout, spawned.stderr);
                spawned.notes.iter().for_each(|note| self.output.note(note));
                self.activity.begin(Instant::now());
                self.leaf = spawned.leaf;
                self.main = Some(spawned.identity.pid);
                self.link.begun(begun(spawned.identity));
                Event::Started
            }
            Err(error) => Event::NotStarted {
                message: error.message,
                missing: error.missing,
            },
        }
    }
}
