//! What must hold after the torture, seen from outside.

use std::{
    collections::HashSet,
    fs, io,
    time::{Duration, Instant},
};

use agentd_proto::v1::{
    Attempt, GetRequest, LogsRequest, State, Task, control_client::ControlClient, log_line::Stream,
};
use tonic::{Status, transport::Channel};

use super::{
    AttemptName, agent, drafts, journal,
    kill::Toll,
    load::{Acknowledged, connection, is_away},
    witness::{Run, Witness},
    world::World,
};

/// How long the last processes and files may take to go.
const GO: Duration = crate::wait::DEADLINE;
/// Between two looks.
const AGAIN: Duration = Duration::from_millis(20);
/// The code by which an agent declines.
const ABORT: u8 = 79;
/// The session was meant for the attempt: whether it is there, only the agent knows.
const GIVEN: &str = "unseen";
/// Runners that are lost in a row before a task is given up.
const GIVEN_UP: usize = 3;
/// What is said of an attempt that costs nothing: its daemon was killed early.
const NEVER_STARTED: &str = "the daemon died before the runner was started";
/// What is said of a queued task of whose key another is run again.
const SUPERSEDED: &str = "replaced by task ";
/// How far the end that the daemon knows may be from the agent's own,
/// milliseconds: before (two clocks' granularity), and after (children that
/// do not want to end; a busy machine).
const EARLY: i64 = 5;
const LATE: i64 = 30_000;

/// What came of the checks.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) violations: Vec<String>,
    pub(super) attempts: usize,
    pub(super) compared: u64,
    pub(super) drafts: usize,
}

/// Checks everything. The daemon runs before, and not afterwards.
pub(super) async fn all(
    world: &mut World,
    acknowledged: &[Acknowledged],
    toll: &Toll,
) -> io::Result<Checked> {
    let mut checked = Checked::default();
    let witness = Witness::read(world.path())?;
    checked.violations.extend(witness.faults.iter().cloned());
    // Until the files are put away, more is said of what was left in workspaces.
    checked.violations.extend(left_over(world).await);
    let mut control = ControlClient::new(connection(&world.socket()));
    if let Err(status) =
        everything_said(&mut control, acknowledged, &witness, toll, &mut checked).await
    {
        let fault = format!("the daemon cannot be asked: {status}");
        checked.violations.push(fault);
    }
    match world.terminate(GO).await? {
        Some(status) if status.success() => {}
        Some(status) => checked
            .violations
            .push(format!("the daemon's end: {status}")),
        None => checked
            .violations
            .push(format!("the daemon did not end within {GO:?}")),
    }
    checked.violations.extend(store(world));
    let (found, lost) = drafts::look_for(world, &witness, acknowledged)?;
    checked.drafts = found;
    checked.violations.extend(lost);
    let log = fs::read_to_string(world.log())?;
    let panics = log.lines().filter(|line| line.contains("panicked"));
    checked
        .violations
        .extend(panics.map(|line| format!("in the log: {line}")));
    Ok(checked)
}

async fn everything_said(
    control: &mut ControlClient<Channel>,
    acknowledged: &[Acknowledged],
    witness: &Witness,
    toll: &Toll,
    checked: &mut Checked,
) -> Result<(), Status> {
    reach(control).await?;
    checked
        .violations
        .extend(journal::check(control, acknowledged).await?);
    let known: HashSet<_> = acknowledged
        .iter()
        .map(|known| (known.job.work.job, known.task))
        .collect();
    for (job, runs) in &witness.runs {
        let unknown = |run: &&Run| !known.contains(&(*job, run.attempt.task));
        // A client that was ended with its submit under way cannot tell.
        checked
            .violations
            .extend(runs.iter().filter(unknown).map(|run| {
                let attempt = run.attempt;
                format!("attempt {attempt} ran job {job}, and was never acknowledged")
            }));
    }
    let again = acknowledged.iter().filter(|known| known.again);
    let again: HashSet<u64> = again.map(|known| known.task).collect();
    for known in acknowledged {
        let id = known.task;
        let answer = match control.get(GetRequest { id }).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if is_away(&status) => return Err(status),
            Err(status) => {
                let fault = format!("task {id} was acknowledged and is lost: {status}");
                checked.violations.push(fault);
                continue;
            }
        };
        checked.attempts += answer.attempts.len();
        let runs = witness.runs.get(&known.job.work.job).into_iter().flatten();
        let mut case = Case {
            known,
            task: answer.task.unwrap_or_default(),
            attempts: answer.attempts,
            runs: runs.filter(|run| run.attempt.task == id).collect(),
            toll,
            again: &again,
            faults: Vec::new(),
        };
        case.state();
        case.runs();
        case.transcripts(control, &mut checked.compared).await?;
        checked.violations.extend(case.faults);
    }
    Ok(())
}

/// Waits until the daemon answers.
async fn reach(control: &mut ControlClient<Channel>) -> Result<(), Status> {
    let begin = Instant::now();
    loop {
        match control.get(GetRequest { id: 1 }).await {
            Err(status) if is_away(&status) && begin.elapsed() < GO => {
                tokio::time::sleep(AGAIN).await;
            }
            Err(status) if is_away(&status) => return Err(status),
            Ok(_) | Err(_) => return Ok(()),
        }
    }
}

/// One task beside what is known of it.
struct Case<'a> {
    known: &'a Acknowledged,
    task: Task,
    attempts: Vec<Attempt>,
    runs: Vec<&'a Run>,
    toll: &'a Toll,
    /// The tasks that were asked for as reruns.
    again: &'a HashSet<u64>,
    faults: Vec<String>,
}

impl Case<'_> {
    fn fault(&mut self, fault: &str) {
        let (task, job) = (&self.task, &self.known.job.work);
        let state = task.state().as_str_name();
        let attempts: Vec<_> = self
            .attempts
            .iter()
            .map(|a| {
                let ended = if a.outcome.is_empty() {
                    &a.phase
                } else {
                    &a.outcome
                };
                format!("{} {ended} {}", a.number, a.failure_reason)
            })
            .collect();
        self.faults.push(format!(
            "task {} (job {}, {state}, {}; attempts {attempts:?}; runs {:?}; expected code {}{}): {fault}",
            task.id, job.job, task.message, self.runs, job.exit,
            if self.known.cancelled { ", cancelled" } else { "" },
        ));
    }

    fn was_killed(&self, number: u32) -> bool {
        let task = self.known.task;
        self.toll.killed.contains(&AttemptName { task, number })
    }

    /// Its runner was killed so often in a row that it counts as a task that
    /// kills its host.
    fn was_given_up(&self) -> bool {
        let streak = self.attempts.iter().rev();
        let streak =
            streak.take_while(|a| a.failure_reason == "runner_lost" && self.was_killed(a.number));
        streak.count() == GIVEN_UP
    }

    /// It was still queued when a rerun of its key came, which takes its place.
    fn was_superseded(&self) -> bool {
        let by = self.task.message.strip_prefix(SUPERSEDED);
        let by = by.and_then(|by| by.parse::<u64>().ok());
        by.is_some_and(|by| self.again.contains(&by)) && self.runs.is_empty()
    }

    /// It ended as it had to, and its end is the one that was told.
    fn state(&mut self) {
        let exit = self.known.job.work.exit;
        let expected = match exit {
            _ if self.known.cancelled || self.was_superseded() => State::Cancelled,
            0 => State::Succeeded,
            ABORT => State::Aborted,
            _ => State::Failed,
        };
        if self.task.state() == State::Interrupted && self.was_given_up() {
            return;
        }
        if self.task.state() != expected {
            self.fault(&format!("it is not {}", expected.as_str_name()));
            return;
        }
        if let Some(seen) = &self.known.seen
            && told(seen) != told(&self.task)
        {
            self.fault("it has changed since its end");
        }
        if expected == State::Failed && self.task.failure_reason != "agent_error" {
            self.fault("it failed for another reason than its code");
        }
        let last = self.attempts.last();
        let code = last.and_then(|a| a.exit.as_ref()).and_then(|e| e.code);
        let right = code == Some(i32::from(exit));
        // A cancelled one ended by a signal, or had ended before, also of a session
        // that it did not know, or never ran.
        let refused = self.known.job.work.keeps && code == Some(agent::UNKNOWN_EXIT.into());
        if !right && (expected != State::Cancelled || code.is_some_and(|_| !refused)) {
            self.fault(&format!("its exit code is {code:?}"));
        }
    }

    /// It ran once, and once more for each runner that was killed.
    fn runs(&mut self) {
        let kills = self.attempts.iter().filter(|a| self.was_killed(a.number));
        let most = 1 + kills.count();
        if self.runs.len() > most {
            self.fault(&format!("it ran {} times, not {most}", self.runs.len()));
        }
        let may_not_run = self.known.cancelled || self.was_superseded() || self.was_given_up();
        if self.runs.is_empty() && !may_not_run {
            self.fault("it never ran");
        }
        for run in self.runs.clone() {
            let number = run.attempt.number;
            let Some(attempt) = self.attempts.iter().find(|a| a.number == number) else {
                self.fault(&format!("nothing is known of attempt {number}, which ran"));
                continue;
            };
            let ended = attempt.ended_at;
            match run.end {
                Some(end) if !self.was_killed(number) => {
                    if !(end - EARLY..end + LATE).contains(&ended) {
                        let by = ended - end;
                        self.fault(&format!("its end is {by} ms after the agent's"));
                    }
                }
                None if !self.was_killed(number) && !self.known.cancelled => {
                    self.fault(&format!("attempt {number} was killed by somebody else"));
                }
                Some(_) | None => {}
            }
        }
        let before = self.attempts.len().saturating_sub(1);
        let mut wrong = Vec::new();
        for attempt in &self.attempts[..before] {
            let ran = self
                .runs
                .iter()
                .any(|run| run.attempt.number == attempt.number);
            // What the system refused may be a start, too.
            let free = self.toll.refused > 0 || attempt.message.starts_with(NEVER_STARTED);
            if (ran || !free) && !self.was_killed(attempt.number) {
                wrong.push((attempt.number, attempt.message.clone()));
            }
        }
        for (number, message) in wrong {
            self.fault(&format!(
                "attempt {number} was not to be tried again: {message}"
            ));
        }
    }

    /// What the agent printed is there, byte for byte; if it or its runner was
    /// killed, the first part of it.
    async fn transcripts(
        &mut self,
        control: &mut ControlClient<Channel>,
        compared: &mut u64,
    ) -> Result<(), Status> {
        let Acknowledged { job, task, .. } = self.known;
        let (work, task) = (&job.work, *task);
        for attempt in self.attempts.clone() {
            let number = attempt.number;
            let name = AttemptName { task, number };
            let given = attempt.session_way == GIVEN;
            let expected = work.output(name, given);
            let mut runs = self.runs.iter().copied();
            let run = runs.find(|run| run.attempt.number == number);
            let printed = transcript(control, task, number).await?;
            let whole = run.is_some_and(|run| run.end.is_some()) && !self.was_killed(number);
            if whole && work.keeps && attempt.session != agent::session(&name.to_string()) {
                let session = &attempt.session;
                self.fault(&format!("attempt {number} has session {session:?}"));
            }
            for (name, printed, expected) in [
                ("output", &printed[0], &expected[0]),
                ("error output", &printed[1], &expected[1]),
            ] {
                *compared += printed.len() as u64;
                let good = match run {
                    Some(_) if whole => printed == expected,
                    Some(_) => expected.starts_with(printed),
                    // All that an agent says which never begins.
                    None => work.refusal(given).as_bytes().starts_with(printed),
                };
                if !good {
                    let same = printed.iter().zip(expected).take_while(|(a, b)| a == b);
                    self.fault(&format!(
                        "the {name} of attempt {number} is wrong from byte {} on: {} bytes instead of {}",
                        same.count(), printed.len(), expected.len()
                    ));
                }
            }
        }
        Ok(())
    }
}

/// What never changes once a task has ended.
fn told(task: &Task) -> (i32, &str, &str, i64) {
    let Task {
        state,
        failure_reason,
        message,
        finished_at,
        ..
    } = task;
    (*state, failure_reason, message, *finished_at)
}

/// What an attempt printed on standard output and on standard error.
async fn transcript(
    control: &mut ControlClient<Channel>,
    task: u64,
    attempt: u32,
) -> Result<[Vec<u8>; 2], Status> {
    let request = LogsRequest {
        task,
        attempt,
        ..LogsRequest::default()
    };
    let mut pages = control.logs(request).await?.into_inner();
    let mut printed = [Vec::new(), Vec::new()];
    while let Some(page) = pages.message().await? {
        for line in page.lines {
            let stream = match line.stream() {
                Stream::Stdout => &mut printed[0],
                Stream::Stderr => &mut printed[1],
                Stream::Note | Stream::Unspecified => continue,
            };
            stream.extend(line.data);
            if !line.partial {
                stream.push(b'\n');
            }
        }
    }
    Ok(printed)
}

/// Processes and files that should have gone.
async fn left_over(world: &World) -> Vec<String> {
    let begin = Instant::now();
    loop {
        let mut left: Vec<_> = world
            .processes()
            .into_iter()
            .map(|process| format!("a process is left: {process:?}"))
            .collect();
        match fs::read_dir(world.state().join("attempts")) {
            Ok(entries) => left.extend(entries.map(|entry| match entry {
                Ok(entry) => format!("a file is left: {}", entry.path().display()),
                Err(error) => format!("attempts/ cannot be read: {error}"),
            })),
            Err(error) => left.push(format!("attempts/ cannot be read: {error}")),
        }
        if left.is_empty() || begin.elapsed() > GO {
            return left;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The store's own sums are right.
fn store(world: &World) -> Option<String> {
    let checked = redb::Database::open(world.state().join("agentd.redb"))
        .and_then(|mut db| db.check_integrity());
    match checked {
        Ok(true) => None,
        Ok(false) => Some("the store had to be repaired".to_owned()),
        Err(error) => Some(format!("the store cannot be opened: {error}")),
    }
}
