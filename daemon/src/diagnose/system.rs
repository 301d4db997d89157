//! The machine: git, open files, the clock.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Resource, getrlimit};

use super::{Area, Finding, LookError, Severity, Subject};
use crate::{
    process,
    task::id::{TaskId, Timestamp},
};

/// How long git may take to say its version.
const LIMIT: Duration = Duration::from_secs(10);
/// Of what it prints, bytes.
const MAX_OUTPUT: usize = 4096;
/// Files that the daemon has open whatever it does, and those of an attempt:
/// its connection, its lock, pipes, a transcript that is followed.
const FILES: u64 = 128;
const FILES_OF_ATTEMPT: u64 = 8;
/// A clock may be set back a little, milliseconds.
const BACK: u64 = 60 * 1000;

pub(super) fn system(subject: &Subject<'_>) -> Vec<Finding> {
    let mut found = vec![git(&git_version())];
    found.extend(open_files(
        getrlimit(Resource::Nofile).current,
        subject.config.max_running,
    ));
    match newest(subject) {
        Ok(newest) => found.extend(clock(newest, subject.now)),
        Err(error) => found.push(
            Finding::new(Area::Store, Severity::Error, "the store cannot be read")
                .because(error.to_string())
                .fix("agentctl shutdown, then agentd check-store"),
        ),
    }
    found
}

#[expect(
    clippy::disallowed_methods,
    reason = "git is asked for its version, with a time limit"
)]
fn git_version() -> Result<String, String> {
    let mut command = Command::new("git");
    command
        .arg("--version")
        .current_dir("/")
        .stdin(Stdio::null());
    let ended = process::run(command, LIMIT, MAX_OUTPUT).map_err(|error| error.to_string())?;
    let ended = ended.ok_or_else(|| format!("no answer within {} s", LIMIT.as_secs()))?;
    let text = String::from_utf8_lossy(&ended.stdout);
    match text.lines().next() {
        Some(line) if ended.status.success() => Ok(line.replace(char::is_control, " ")),
        Some(_) | None => Err(ended.status.to_string()),
    }
}

fn git(version: &Result<String, String>) -> Finding {
    match version {
        Ok(version) => Finding::new(Area::System, Severity::Good, version),
        Err(why) => Finding::new(Area::System, Severity::Error, "git cannot be run")
            .because(format!("{why}; tasks in repositories need it"))
            .fix("install git where the daemon's PATH has it, e.g. apt-get install git"),
    }
}

/// `limit`: `None` is none.
fn open_files(limit: Option<u64>, slots: u32) -> Option<Finding> {
    let needed = FILES + FILES_OF_ATTEMPT * u64::from(slots);
    let limit = limit.filter(|limit| *limit < needed)?;
    let what = format!("agentd may open {limit} files");
    Some(
        Finding::new(Area::System, Severity::Warning, what)
            .because(format!("{slots} slots may need {needed}"))
            .fix("LimitNOFILE=524288 in its unit, or ulimit -Hn 524288 before it is started"),
    )
}

/// When the newest task was submitted.
fn newest(subject: &Subject<'_>) -> Result<Option<Timestamp>, LookError> {
    let reader = subject.store.reader()?;
    let next = reader.next_task()?;
    let newest = TaskId::new(next.get().saturating_sub(1));
    let task = newest.map(|id| reader.task(id)).transpose()?.flatten();
    Ok(task.map(|task| task.spec.created_at))
}

fn clock(newest: Option<Timestamp>, now: Timestamp) -> Option<Finding> {
    let ahead = newest?.millis_since(now);
    (ahead > BACK).then(|| {
        let what = "the clock is behind: the newest task was submitted in the future";
        Finding::new(Area::System, Severity::Warning, what)
            .because(format!(
                "by {} s; schedules and --not-before go by this clock",
                ahead / 1000
            ))
            .fix("timedatectl set-ntp true")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_lacks_is_told() {
        assert_eq!(
            git(&Ok("git version 2".to_owned())).severity,
            Severity::Good
        );
        let missing = git(&Err("No such file".to_owned()));
        assert_eq!(missing.severity, Severity::Error);
        assert!(missing.why.contains("No such file"), "{missing:?}");

        assert_eq!(open_files(None, 4), None);
        assert_eq!(open_files(Some(1024), 100), None);
        let few = open_files(Some(1024), 200).unwrap();
        assert!(few.why.contains("1728"), "{few:?}");

        let at = Timestamp;
        assert_eq!(clock(None, at(5)), None);
        assert_eq!(clock(Some(at(50_000)), at(0)), None);
        assert_eq!(clock(Some(at(0)), at(900_000)), None);
        let behind = clock(Some(at(120_000)), at(0)).unwrap();
        assert!(behind.why.contains("by 120 s"), "{behind:?}");
    }
}
