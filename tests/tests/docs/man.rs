//! The manual pages are what the programs' command lines say of themselves.
//!
//! They are kept, so that packages can take them and a change of them is seen in
//! its diff. `RENEW=1 cargo test -p agentd-tests --test docs man` writes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
};

use clap::Command;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "It is done; with run and wait: the task succeeded."),
    (
        "1",
        "The task did not succeed (run, wait), or another error.",
    ),
    ("2", "Wrong usage or an invalid argument."),
    ("3", "There is no such task."),
    ("4", "A conflict, or the task is in the wrong state."),
    ("5", "Gone: the task's issue has been closed."),
    ("6", "The daemon cannot be reached."),
    ("7", "Permission denied."),
    ("8", "A time limit passed."),
    ("130", "Interrupted."),
];

const CTL_ENVIRONMENT: &[(&str, &str)] = &[
    (
        "AGENTD_SOCKET",
        "The daemon's socket, unless --socket names one.",
    ),
    (
        "AGENTCTL_NO_AUTOSTART",
        "If it is set, run and submit do not start a daemon.",
    ),
    ("NO_COLOR", "If it is set, nothing is coloured."),
];

const DAEMON_ENVIRONMENT: &[(&str, &str)] = &[
    (
        "AGENTD_CONFIG",
        "The configuration file, unless --config names one.",
    ),
    ("AGENTD_SOCKET", "The socket, unless --socket names one."),
    (
        "STATE_DIRECTORY, RUNTIME_DIRECTORY",
        "Where a service manager wants the state and the socket to be.",
    ),
];

const FILES: &[(&str, &str)] = &[
    (
        "~/.config/agentd/config.toml, /etc/agentd/config.toml",
        "The configuration; none is needed.",
    ),
    (
        "~/.local/state/agentd",
        "The store, transcripts, worktrees and backups of a user's daemon.",
    ),
    (
        "$XDG_RUNTIME_DIR/agentd/agentd.sock, /run/agentd/agentd.sock",
        "The sockets of a user's and the system's daemon.",
    ),
];

/// Which sections a program's pages have besides what clap knows.
struct Program {
    section: &'static str,
    exit_status: &'static [(&'static str, &'static str)],
    environment: &'static [(&'static str, &'static str)],
    also: &'static str,
}

impl Program {
    /// Pages by file name.
    fn pages(&self, mut command: Command) -> BTreeMap<String, String> {
        // Names every command by its whole path.
        command = command.disable_help_subcommand(true);
        command.build();
        let mut pages = BTreeMap::new();
        self.collect(command, &mut pages);
        pages
    }

    fn collect(&self, command: Command, pages: &mut BTreeMap<String, String>) {
        for inner in command.get_subcommands().filter(|c| !c.is_hide_set()) {
            self.collect(inner.clone(), pages);
        }
        let (name, page) = self.page(command);
        pages.insert(name, page);
    }

    fn page(&self, command: Command) -> (String, String) {
        let has_commands = command.get_subcommands().any(|c| !c.is_hide_set());
        let mut usage = command.clone();
        let man = Man::new(command.clone())
            .section(self.section)
            .source(format!("agentd {}", env!("CARGO_PKG_VERSION")))
            .manual("agentd");
        let mut page = Vec::new();
        man.render_title(&mut page).unwrap();
        man.render_name_section(&mut page).unwrap();
        // Not clap_mangen's: it names each of forty options.
        let usage = usage.render_usage().to_string();
        as_it_is("SYNOPSIS", usage.trim_start_matches("Usage:"))
            .to_writer(&mut page)
            .unwrap();
        man.render_description_section(&mut page).unwrap();
        man.render_options_section(&mut page).unwrap();
        if has_commands {
            man.render_subcommands_section(&mut page).unwrap();
        }
        // The programs' own help ends with the exit codes.
        if let Some(notes) = command.get_after_long_help().filter(|_| !has_commands) {
            as_it_is("NOTES", &notes.to_string())
                .to_writer(&mut page)
                .unwrap();
        }
        self.rest().to_writer(&mut page).unwrap();
        (man.get_filename(), String::from_utf8(page).unwrap())
    }

    fn rest(&self) -> Roff {
        let mut roff = Roff::new();
        for (head, entries) in [
            ("EXIT STATUS", self.exit_status),
            ("ENVIRONMENT", self.environment),
            ("FILES", FILES),
        ] {
            roff.control("SH", [head]);
            for (name, text) in entries {
                roff.control("TP", []);
                roff.text([bold(*name)]);
                roff.text([roman(*text)]);
            }
        }
        roff.control("SH", ["SEE ALSO"]);
        roff.text([roman(self.also)]);
        roff
    }
}

/// A section of lines that stay as they are.
fn as_it_is(head: &str, text: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [head]);
    roff.control("nf", []);
    for line in text.trim().lines() {
        roff.text([roman(line.trim_start())]);
    }
    roff.control("fi", []);
    roff
}

fn all() -> BTreeMap<String, String> {
    let ctl = Program {
        section: "1",
        exit_status: EXIT_STATUS,
        environment: CTL_ENVIRONMENT,
        also: "agentctl(1), agentd(8)",
    };
    let daemon = Program {
        section: "8",
        exit_status: &[
            ("0", "It has ended as it was asked to."),
            ("1", "It could not start or go on; it says why."),
            ("2", "Wrong arguments."),
        ],
        environment: DAEMON_ENVIRONMENT,
        also: "agentctl(1)",
    };
    let mut pages = ctl.pages(agentctl::command());
    pages.extend(daemon.pages(agentd::cli::command()));
    pages
}

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/man")
}

#[test]
fn manual_pages_are_as_the_programs_say() {
    let pages = all();
    let dir = kept();
    if env::var_os("RENEW").is_some() {
        fs::remove_dir_all(&dir).unwrap();
        fs::create_dir(&dir).unwrap();
        for (name, page) in &pages {
            fs::write(dir.join(name), page).unwrap();
        }
    }
    let there: BTreeSet<String> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let names: BTreeSet<String> = pages.keys().cloned().collect();
    let renew = "RENEW=1 cargo test -p agentd-tests --test docs man";
    assert_eq!(there, names, "to be renewed with {renew}");
    for (name, page) in pages {
        let old = fs::read_to_string(dir.join(&name)).unwrap();
        assert!(old == page, "{name} has to be renewed with {renew}");
    }
}

/// The same numbers as in `--help`.
#[test]
fn manual_pages_know_every_exit_code() {
    // As it is written, however wide the terminal is.
    let mut agentctl = agentctl::command().term_width(0);
    let help = agentctl.render_long_help().to_string();
    let codes: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Exit codes:")
        .skip(1)
        .map_while(|line| line.split_whitespace().next())
        .collect();
    let told: Vec<&str> = EXIT_STATUS.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, told);
}
