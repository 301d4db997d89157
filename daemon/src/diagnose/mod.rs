//! What is wrong with this daemon and what it stands on, as far as it can see
//! it itself: its configuration, store, control groups, what was left behind,
//! and the machine.
//!
//! It only looks. What it finds comes with the command that mends it; the one
//! thing that may be done without a person is to set aside a directory that
//! nobody uses ([`Aside`]), and even that is for the client to do. What the
//! client can see without a daemon (modes, units, sockets) is looked at there.

mod access;
mod leftovers;
mod notices;
mod system;

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    backup,
    config::{Change, Config, ConfigError},
    dispatcher::Trouble,
    notify::Standing,
    process::Containment,
    spool::StateDir,
    store::{Store, StoreError},
    task::id::Timestamp,
};

/// Things of one kind that are told; the rest is counted.
const TOLD: usize = 20;
/// A copy that is older than this was not made as it should have been,
/// milliseconds.
const OLD_COPY: u64 = 3 * 24 * 60 * 60 * 1000;

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// The configuration file.
    Config,
    /// The store, its copies, and the disk that they are on.
    Store,
    /// The control groups of attempts.
    Cgroups,
    /// Who may talk to the daemon.
    Access,
    /// What nobody uses any more.
    Leftovers,
    /// Whether people are told of ends.
    Notices,
    /// The machine.
    System,
}

impl Area {
    /// The word in the interface.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Store => "store",
            Self::Cgroups => "cgroups",
            Self::Access => "access",
            Self::Leftovers => "leftovers",
            Self::Notices => "notices",
            Self::System => "system",
        }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It was looked at and is as it should be.
    Good,
    /// It works; something could be better.
    Note,
    /// Something does not work, or will not for long.
    Warning,
    /// Tasks cannot be run as they should be.
    Error,
}

/// A directory that nobody uses, and where it can be put without loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Where it is.
    pub from: PathBuf,
    /// Where it would be out of the way; on the same file system.
    pub to: PathBuf,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub area: Area,
    /// How bad it is.
    pub severity: Severity,
    /// One line.
    pub what: String,
    /// One line; may be empty.
    pub why: String,
    /// The command that mends it; empty if there is nothing to mend.
    pub fix: String,
    /// What may be done about it without a person.
    pub aside: Option<Aside>,
}

impl Finding {
    fn new(area: Area, severity: Severity, what: impl Into<String>) -> Self {
        Self {
            area,
            severity,
            what: what.into(),
            why: String::new(),
            fix: String::new(),
            aside: None,
        }
    }

    fn because(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    fn fix(mut self, command: impl Into<String>) -> Self {
        self.fix = command.into();
        self
    }
}

/// What is looked at.
#[derive(Debug)]
pub struct Subject<'a> {
    /// What counts now.
    pub config: &'a Config,
    /// What the file says now, and what of that does not count yet.
    pub on_disk: Result<Vec<Change>, ConfigError>,
    /// What keeps the daemon from its work.
    pub trouble: Option<Trouble>,
    /// Its directory.
    pub state: &'a StateDir,
    /// Its store.
    pub store: &'a Store,
    /// Where it listens.
    pub socket: &'a Path,
    /// What the trees of attempts are held by.
    pub containment: &'a Containment,
    /// How it stands with each way in which people are told of ends.
    pub notices: &'a [Standing],
    /// By the wall clock.
    pub now: Timestamp,
}

/// Why something could not be looked at.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Looks at everything. Asks git for its version, `/proc` and the file system:
/// blocks.
#[must_use]
pub fn diagnose(subject: &Subject<'_>) -> Vec<Finding> {
    let mut found = configuration(subject);
    found.extend(store(subject));
    found.push(groups(subject));
    found.extend(access::access(&subject.config.access, subject.socket));
    found.extend(leftovers::leftovers(subject));
    found.extend(notices::notices(subject));
    found.extend(system::system(subject));
    found
}

fn configuration(subject: &Subject<'_>) -> Vec<Finding> {
    let file = subject.config.source.as_ref();
    let named = file.map_or_else(
        || "no configuration file; the defaults count".to_owned(),
        |path| path.display().to_string(),
    );
    let finding = |severity, what| Finding::new(Area::Config, severity, what);
    match &subject.on_disk {
        Ok(changes) if changes.is_empty() => vec![finding(Severity::Good, named)],
        Ok(changes) => {
            let (later, soon): (Vec<_>, Vec<_>) =
                changes.iter().partition(|change| change.needs_restart);
            let of = |changes: Vec<&Change>, what: &str, fix: &str| {
                let keys: Vec<_> = changes.iter().map(|change| change.key.as_str()).collect();
                (!keys.is_empty()).then(|| {
                    finding(Severity::Warning, format!("{named}: {what}"))
                        .because(keys.join(", "))
                        .fix(fix)
                })
            };
            let reload = of(soon, "it has changed since it was read", "agentctl reload");
            let restart = of(
                later,
                "it has what counts from the next start on",
                "agentctl shutdown, then start agentd again; agents go on",
            );
            reload.into_iter().chain(restart).collect()
        }
        Err(error) => {
            let mut text = error.to_string();
            if let ConfigError::Read { source, .. } = error {
                text = format!("{text}: {source}");
            }
            let told = text.lines().take(TOLD);
            told.map(|problem| {
                finding(Severity::Error, problem.to_owned())
                    .because("what was read before counts; a restart would fail")
                    .fix("mend the file, then agentctl reload")
            })
            .collect()
        }
    }
}

fn store(subject: &Subject<'_>) -> Vec<Finding> {
    let finding = |severity, what: String| Finding::new(Area::Store, severity, what);
    let state = subject.state.path().display();
    let free = subject.state.free_space();
    let mut found = vec![match (&subject.trouble, free) {
        (Some(trouble @ Trouble::Store(_)), _) => finding(Severity::Error, trouble.to_string())
            .because("the log of agentd tells more")
            .fix("agentctl shutdown, then agentd check-store"),
        (Some(trouble @ Trouble::Disk { .. }), _) => finding(Severity::Error, trouble.to_string())
            .because("what is under way goes on")
            .fix("agentctl prune --older-than 7d"),
        (None, Ok(free)) if free < subject.config.min_free_disk.saturating_mul(2) => {
            let (free, least) = (free >> 20, subject.config.min_free_disk >> 20);
            finding(
                Severity::Warning,
                format!("{free} MiB are free where {state} is"),
            )
            .because(format!(
                "with less than {least} MiB (daemon.min_free_disk) nothing is started"
            ))
            .fix("agentctl prune --older-than 7d")
        }
        (None, Ok(_)) => finding(
            Severity::Good,
            format!("{} works", subject.state.store().display()),
        ),
        (None, Err(error)) => finding(
            Severity::Warning,
            format!("nobody can tell how much is free where {state} is"),
        )
        .because(error.to_string()),
    }];
    let newest = backup::newest(subject.state);
    let age = newest.map(|copy| subject.now.millis_since(copy.at));
    if subject.config.daily_backups > 0 && age.is_some_and(|age| age > OLD_COPY) {
        let days = age.unwrap_or_default() / (24 * 60 * 60 * 1000);
        let backups = subject.state.backups();
        found.push(
            finding(
                Severity::Warning,
                format!("the newest copy of the store is {days} days old"),
            )
            .because(format!(
                "one is made each day in {}, if there is something new and room for it",
                backups.display()
            ))
            .fix(format!(
                "agentctl backup {}",
                backups.join("by-hand.redb").display()
            )),
        );
    }
    found
}

fn groups(subject: &Subject<'_>) -> Finding {
    let finding = |severity, what: &str| Finding::new(Area::Cgroups, severity, what);
    if !subject.config.cgroups {
        return finding(
            Severity::Good,
            "switched off by the configuration (daemon.cgroups)",
        );
    }
    let why = match &*subject.containment.scopes() {
        Ok(scopes) => {
            let slice = scopes.slice();
            return finding(Severity::Good, &format!("attempts have scopes in {slice}"));
        }
        Err(why) => why.to_string(),
    };
    let Some(groups) = subject.containment.groups() else {
        return finding(Severity::Note, "attempts have no control groups")
            .because("limits of memory, processes and CPU do not hold: agentd may make none")
            .fix("run agentd as a systemd unit with Delegate=yes (packaging/systemd)");
    };
    let missing = groups.missing();
    let what = format!("attempts have groups below {}", groups.base().display());
    if missing.is_empty() {
        return finding(Severity::Good, &what);
    }
    finding(Severity::Note, &what)
        .because(format!(
            "limits of {} do not hold there, and there are no scopes: {why}",
            missing.join(", ")
        ))
        .fix("run agentd as a service of the user (systemctl --user), or with systemd 254 or later")
}

#[cfg(test)]
mod tests;
