//! Every command of the guide in `docs/` does what the guide shows.
//!
//! A page is a session: its `console` blocks are typed into one bash, in the order
//! of the page, by a user of the page's own who has never run agentd before. What differs from run to run
//! (times, sizes, hashes, pids) may differ from the page; a line that is only
//! `…` stands for any lines. HTML comments are the page's stage directions:
//!
//! - `<!-- config … -->` is the daemon's configuration,
//! - `<!-- run … -->` is typed, too, but not shown.
//!
//! `toml` blocks are configurations, and have to be good ones. `RENEW=1 cargo test
//! -p agentd-tests --test docs guide` writes into the pages what was said.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::LazyLock,
};

use agentd_tests::{Output, TestDaemon, command, program};
use nix::unistd::{User, getuid};
use regex::Regex;

/// Ends what one command has said: its number and exit code follow.
const END: char = '\u{1e}';

/// A command and what the page shows of its answer.
#[derive(Debug, Default)]
struct Typed {
    command: String,
    /// Where the answer is in the page: first line and one past the last.
    shown: Option<(usize, usize)>,
}

/// A page.
struct Page {
    path: PathBuf,
    lines: Vec<String>,
    config: String,
    typed: Vec<Typed>,
    configurations: Vec<String>,
}

impl Page {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let mut page = Self {
            path: path.to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
            config: String::new(),
            typed: Vec::new(),
            configurations: Vec::new(),
        };
        let mut at = 0;
        while at < page.lines.len() {
            let line = page.lines[at].clone();
            let end = |what: &str| {
                let rest = &page.lines[at + 1..];
                let end = rest.iter().position(|line| line == what);
                at + 1 + end.unwrap_or_else(|| panic!("{}:{at}: no {what}", path.display()))
            };
            if let Some(kind) = line.strip_prefix("```") {
                let end = end("```");
                match kind {
                    "console" => page.console(at + 1, end),
                    "toml" => page.configurations.push(page.text(at + 1, end)),
                    "text" | "json" => {}
                    _ => panic!("{}:{at}: {kind} is not checked", path.display()),
                }
                at = end;
            } else if line == "<!-- run" {
                let end = end("-->");
                let command = page.text(at + 1, end);
                page.typed.push(Typed {
                    command,
                    shown: None,
                });
                at = end;
            } else if line == "<!-- config" {
                let end = end("-->");
                page.config = page.text(at + 1, end);
                at = end;
            }
            at += 1;
        }
        page
    }

    fn text(&self, from: usize, to: usize) -> String {
        self.lines[from..to].join("\n")
    }

    /// Commands begin with `$ `, their further lines with `> `.
    fn console(&mut self, from: usize, to: usize) {
        for at in from..to {
            let line = &self.lines[at];
            if let Some(command) = line.strip_prefix("$ ") {
                self.typed.push(Typed {
                    command: command.to_owned(),
                    shown: Some((at + 1, at + 1)),
                });
                continue;
            }
            let typed = self.typed.last_mut().unwrap();
            let begun = typed.shown == Some((at, at));
            if let Some(more) = line.strip_prefix("> ").filter(|_| begun) {
                typed.command.push('\n');
                typed.command.push_str(more);
                typed.shown = Some((at + 1, at + 1));
            } else if let Some((_, end)) = &mut typed.shown {
                *end = at + 1;
            }
        }
    }

    /// Types everything; what was said to each command, and its exit code.
    fn play(&self, daemon: &TestDaemon) -> Vec<(String, i32)> {
        let mut script = String::from("exec 2>&1\ncd ~\n");
        for typed in &self.typed {
            script.push_str(&format!("{}\nprintf '{END}%s{END}' $?\n", typed.command));
        }
        let programs = program("agentctl");
        let path = format!(
            "{}:{}",
            programs.parent().unwrap().display(),
            env::var("PATH").unwrap()
        );
        let mut bash = command(Path::new("bash"), &daemon.home());
        bash.env("PATH", format!("{}/bin:{path}", daemon.home().display()))
            .env("XDG_RUNTIME_DIR", daemon.path("run"))
            .env("USER", "ann")
            .env("TZ", "UTC")
            .args(["-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let said = Output::wait(bash.spawn().unwrap());
        let end = daemon.ctl(&["shutdown", "--cancel-all"]);
        // The page may have ended it, or have started none.
        assert!(matches!(end.code, 0 | 6), "{end:?} after {said:?}");
        let said = String::from_utf8(said.stdout).unwrap();
        let mut parts = said.split(END);
        let mut answers = Vec::new();
        while let (Some(answer), Some(code)) = (parts.next(), parts.next()) {
            answers.push((self.as_ann_sees(answer, daemon), code.parse().unwrap()));
        }
        assert_eq!(
            answers.len(),
            self.typed.len(),
            "{}: it ended early: {said}",
            self.path.display()
        );
        answers
    }

    /// Paths of the test are those of a user called ann.
    fn as_ann_sees(&self, answer: &str, daemon: &TestDaemon) -> String {
        let home = daemon.home().display().to_string();
        let run = daemon.path("run").display().to_string();
        // Who has no name is called by the number.
        let user = User::from_uid(getuid()).unwrap();
        let user = user.map_or_else(|| getuid().to_string(), |user| user.name);
        answer
            .replace(&home, "/home/ann")
            .replace(&format!("submitted by {user}"), "submitted by ann")
            .replace(&format!("user:        {user}"), "user:        ann")
            .replace(&run, "/run/user/1000")
    }

    fn check(&mut self) {
        // Nothing but the directories: the first command starts the daemon.
        let mut daemon = TestDaemon::prepared("");
        daemon.use_state("home/.local/state/agentd");
        daemon.use_socket("run/agentd/agentd.sock");
        fs::create_dir(daemon.path("run")).unwrap();
        if !self.config.is_empty() {
            let dir = daemon.home().join(".config/agentd");
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("config.toml"), &self.config).unwrap();
        }
        let answers = self.play(&daemon);
        let renew = env::var_os("RENEW").is_some();
        let mut wrong = String::new();
        // From the end on, so that line numbers stay true.
        for (typed, (answer, code)) in self.typed.iter().zip(answers).rev() {
            let Some((from, to)) = typed.shown else {
                assert_eq!(code, 0, "{}: {answer}", typed.command);
                continue;
            };
            let shown = &self.lines[from..to];
            let said: Vec<String> = answer
                .lines()
                .filter(|line| !SAMPLED.is_match(line))
                .map(|line| line.trim_end().to_owned())
                .collect();
            let failed = code != 0 && shown.is_empty();
            if !failed && alike(shown, &said) {
                continue;
            }
            if renew && !shown.iter().any(|line| line == "…") {
                self.lines.splice(from..to, said);
            } else {
                wrong.push_str(&format!(
                    "\n{}:{from}: $ {} (exit code {code})\n--- said\n{}\n--- shown\n{}\n",
                    self.path.display(),
                    typed.command,
                    said.join("\n"),
                    shown.join("\n"),
                ));
            }
        }
        if renew {
            fs::write(&self.path, self.lines.join("\n") + "\n").unwrap();
        }
        assert!(wrong.is_empty(), "{wrong}");
        for config in &self.configurations {
            daemon.configure(config);
            let (code, said) = daemon.check_config();
            assert_eq!(code, Some(0), "{}: {said}\n{config}", self.path.display());
        }
    }
}

/// Whether the page shows what was said, but for what is never twice the same.
fn alike(shown: &[String], said: &[String]) -> bool {
    match shown.iter().position(|line| line == "…") {
        None => {
            shown.len() == said.len() && shown.iter().zip(said).all(|(a, b)| plain(a) == plain(b))
        }
        Some(gap) => {
            let (head, tail) = (&shown[..gap], &shown[gap + 1..]);
            said.len() >= gap
                && alike(head, &said[..gap])
                && (gap..=said.len()).any(|from| alike(tail, &said[from..]))
        }
    }
}

/// What an agent says on its way is sampled: a short one may be done before.
static SAMPLED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\S+ \S+ +\d+\.\d+ +the agent says: ").unwrap());

/// What is never twice the same, and what stands for it.
static FLEETING: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        // First: some hashes look like spans of time.
        (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID"),
        (r"\b[0-9a-f]{7,40}\b", "HASH"),
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(\.\d+)?Z?", "TIME"),
        (r"\b\d\d:\d\d(:\d\d)?\b", "TIME"),
        (r"\b\d+(\.\d+)?(ms|s|m|h|d)( \d+(ms|s|m|h))?\b", "SPAN"),
        (r"\b\d+(\.\d+)? ([KMGT]i)?B\b", "SIZE"),
        (r"-[0-9a-f]{8}\b", "-HASH"),
        (r"\bpid:? +\d+", "PID"),
        (r"\brevision \d+\b", "REVISION"),
        (r"\b\d+ rows\b", "ROWS"),
        // It may have ended before the answer was written.
        (r"^(task \d+) (is being stopped|cancelled)$", "$1 ENDS"),
        // One a core.
        (r"\b\d+ slots\b", "SLOTS"),
        (r"^slots: +\d+$", "SLOTS"),
        (r" +", " "),
    ]
    .map(|(what, instead)| (Regex::new(what).unwrap(), instead))
    .into()
});

fn plain(line: &str) -> String {
    let line = line.to_owned();
    FLEETING.iter().fold(line, |line, (what, instead)| {
        what.replace_all(&line, *instead).into_owned()
    })
}

fn page(name: &str) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    Page::read(&docs.join(name)).check();
}

/// One test a page, so that they run side by side and fail by name.
macro_rules! pages {
    ($($name:ident $file:literal),+ $(,)?) => {
        $(#[test]
        fn $name() {
            page($file);
        })+

        #[test]
        fn every_page_is_checked() {
            let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
            let mut there: Vec<String> = fs::read_dir(docs)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| name.ends_with(".md"))
                .collect();
            there.sort();
            let mut checked = vec![$($file),+];
            checked.sort_unstable();
            assert_eq!(there, checked);
        }
    };
}

pages! {
    agents "agents.md",
    first_task "first-task.md",
    index "README.md",
    install "install.md",
    notices "notices.md",
    quota "quota.md",
    recovery "recovery.md",
    rerun "rerun.md",
    scripting "scripting.md",
    security "security.md",
    service "service.md",
    troubleshooting "troubleshooting.md",
    upkeep "upkeep.md",
    workspaces "workspaces.md",
}

/// The checker itself tells apart what matters.
#[test]
fn what_differs_from_run_to_run_does_not_matter() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let shown = lines("a 12s  2026-01-01 12:00:00\n…\nlast");
    assert!(alike(&shown, &lines("a 3m 4s 2026-11-21 02:00:00\nlast")));
    assert!(alike(
        &shown,
        &lines("a 1ms 2026-11-21 02:00:00\nx\ny\nlast")
    ));
    assert!(!alike(&shown, &lines("b 1ms 2026-11-21 02:00:00\nlast")));
    assert!(!alike(&shown, &lines("a 1ms 2026-11-21 02:00:00\nx")));
    assert!(!alike(&lines("a"), &lines("a\nb")));
    assert!(!alike(&[], &lines("b")));
}
