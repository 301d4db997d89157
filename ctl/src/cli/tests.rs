//! Whole commands in memory, against a canned daemon: what they print, at any
//! width and time.

#[expect(dead_code, reason = "the tests of the program ask more of it")]
#[path = "../../tests/cli/canned/mod.rs"]
mod canned;
mod printed;
mod schemas;

use std::collections::BTreeMap;

use agentd_proto::v1;

use self::canned::{Daemon, Script};
use super::*;
use crate::output::tests::{Memory, detail, list, now};

#[test]
fn the_tree_is_sound() {
    Cli::command().debug_assert();
}

/// The one word for tasks is the same wherever tasks are named.
#[test]
fn every_verb_takes_the_ids_that_make_sense_to_it() {
    let parsed = |verb: &str, id: &str| {
        let words = ["agentctl"].into_iter().chain(verb.split(' ')).chain([id]);
        Cli::try_parse_from(words).map_err(|error| error.to_string())
    };
    let one = ["explain", "watch"];
    let attempt = ["show", "logs", "workspace diff", "workspace restore"];
    let several = [
        "wait",
        "cancel",
        "kill",
        "rerun",
        "hold",
        "release",
        "workspace rm",
        "submit go --after",
        "run go --after",
    ];
    let all = || one.iter().chain(&attempt).chain(&several);
    for (verb, id) in all().flat_map(|verb| ["42", "@last", "@last-failed"].map(|id| (verb, id))) {
        assert!(parsed(verb, id).is_ok(), "{verb} {id}");
    }
    for verb in several {
        assert!(parsed(verb, "40-44").is_ok(), "{verb}");
    }
    for verb in attempt {
        for id in ["42.2", "@last.1"] {
            assert!(parsed(verb, id).is_ok(), "{verb} {id}");
        }
    }
    for (verbs, id, says) in [
        (&one[..], "42.2", "leave out what follows the dot"),
        (&several, "42.2", "leave out what follows the dot"),
        (&several, "44-40", "the range runs backwards"),
        (&several, "1-1001", "1000 tasks at most"),
        (&several, "0", "counted from 1"),
        (&one, "40-44", "takes one task, not a range"),
        (&attempt, "40-44", "takes one task, not a range"),
        (&attempt, "42.0", "counted from 1"),
    ] {
        for verb in verbs {
            let error = parsed(verb, id).unwrap_err();
            assert!(error.contains(says), "{verb} {id}: {error}");
        }
    }
}

/// What a command has printed.
struct Printed {
    code: u8,
    out: String,
    err: String,
}

/// A terminal, or a pipe.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    width: Option<usize>,
    color: bool,
}

/// What the test's own directory is called where it is printed, and in arguments.
const DIR: &str = "/DIR";

/// A daemon with tasks of every kind.
struct Stage {
    dir: tempfile::TempDir,
    socket: PathBuf,
    daemon: Daemon,
    /// What is different about it.
    setting: fn(&mut Script),
}

impl Stage {
    fn new() -> Self {
        let (dir, socket) = canned::socket();
        let daemon = Daemon::start(&socket, Script::default());
        Self {
            dir,
            socket,
            daemon,
            setting: |_| {},
        }
    }

    /// What a command prints to a daemon that was asked nothing before.
    fn run(&self, args: &[&str], seen: Seen) -> Printed {
        let mut script = script();
        (self.setting)(&mut script);
        *self.daemon.script.lock().unwrap() = script;
        let dir = self.dir.path().to_str().unwrap();
        let words = args.iter().map(|word| word.replace(DIR, dir));
        let words = ["agentctl".to_owned()].into_iter().chain(words);
        let cli = match Cli::try_parse_from(words) {
            Ok(cli) => cli,
            Err(usage) => return Printed::of_usage(&usage, seen),
        };
        let (out, err) = (Memory::default(), Memory::default());
        let mut output = Output::into(Box::new(out.clone()), Box::new(err.clone()), now());
        output.width = seen.width;
        output.color = seen.color;
        output.color_err = seen.color;
        output.live = seen.width;
        let around = match args {
            ["service", "install" | "uninstall", ..] => self.with_programs(),
            _ => Surroundings::default(),
        };
        let socket = cli.socket.as_deref().unwrap_or(&self.socket);
        let env = Environment::default();
        let mut cx = Context {
            out: output,
            sockets: Sockets::choose(Some(socket), &env, &around),
            env,
            surroundings: around,
            variable: |name| match name {
                "AGENTD_ATTEMPT" => Some("42.2:0f".to_owned()),
                "AGENTD_TOKEN" => Some("aa".to_owned()),
                _ => None,
            },
        };
        let code = perform(cli.command, &mut cx);
        // As at the end of the program.
        cx.out.finish(code);
        let told = |text: String| text.replace(dir, DIR);
        Printed {
            code,
            out: told(out.text()),
            err: told(err.text()),
        }
    }

    /// A user who has both programs, and no service manager.
    fn with_programs(&self) -> Surroundings {
        let dir = self.dir.path();
        let agentd = dir.join("agentd");
        std::fs::write(&agentd, "").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&agentd, mode).unwrap();
        Surroundings {
            config_home: Some(dir.join("config")),
            root: dir.join("root"),
            own: Some(dir.join("agentctl")),
            user: Some("ann".to_owned()),
            ..Surroundings::default()
        }
    }
}

impl Printed {
    /// What the command line itself has to say.
    fn of_usage(usage: &clap::Error, seen: Seen) -> Self {
        let plain = |text: String| match seen.color {
            true => text,
            false => anstream::adapter::strip_str(&text).to_string(),
        };
        let (out, err) = match usage.use_stderr() {
            true => (String::new(), plain(misused(usage))),
            false => (plain(usage.render().ansi().to_string()), String::new()),
        };
        Self {
            code: u8::try_from(usage.exit_code()).unwrap(),
            out,
            err,
        }
    }
}

fn tasks() -> BTreeMap<u64, v1::GetResponse> {
    let got = |task: v1::Task| {
        let attempts = task.attempt.iter().cloned().collect();
        let task = Some(task);
        (
            task.as_ref().map_or(0, |task| task.id),
            v1::GetResponse {
                task,
                attempts,
                ..v1::GetResponse::default()
            },
        )
    };
    let mut tasks: BTreeMap<u64, v1::GetResponse> = list().tasks.into_iter().map(got).collect();
    tasks.insert(42, detail());
    tasks
}

fn script() -> Script {
    let tasks = tasks();
    let task = |id: u64| tasks[&id].task.clone();
    let new = v1::SubmitResponse {
        task: task(49),
        existing: false,
        replaced: Vec::new(),
    };
    let minute = |ago: i64| canned::data::NOW - ago * 60_000;
    let line = |ago, partial, text: &str| v1::LogLine {
        at: minute(ago),
        partial,
        ..canned::line(v1::log_line::Stream::Stdout, text)
    };
    let lines = vec![
        line(30, false, "\u{1b}[1mhello\u{1b}[0m, 日本語"),
        line(20, true, "a line that was begun 20 minutes ago"),
        line(5, false, " and ended 5 minutes ago"),
        line(4, false, "done"),
    ];
    let logs = canned::LogsAnswer {
        chunks: vec![v1::LogsResponse {
            attempt: 1,
            lines,
            next_offset: 9,
        }],
        end: canned::End::Clean,
    };
    // To whoever follows: an attempt that has ended has no rest.
    let rest = || canned::LogsAnswer {
        chunks: Vec::new(),
        end: canned::End::Clean,
    };
    let event = v1::Event {
        revision: 7,
        task: 42,
        attempt: 1,
        at: canned::data::NOW,
        what: "failed".to_owned(),
        why: "agent_error: exit code 3".to_owned(),
        state: v1::State::Failed.into(),
    };
    Script {
        logs: [logs, rest(), rest(), rest()].into(),
        waits: [Ok(v1::WaitResponse {
            tasks: [41, 42].into_iter().filter_map(task).collect(),
            timed_out: false,
        })]
        .into(),
        watches: [(vec![event], canned::End::Clean)].into(),
        reruns: [Ok(new)].into(),
        more: 12,
        tasks,
        ..Script::default()
    }
}
