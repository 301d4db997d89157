//! `agentctl service`, with a manager that only notes what it is told. With a real
//! one: the tests of `agentd-tests`.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use super::ran;

/// Both programs, and the home of a user who has them.
struct Place {
    /// Beside the real program, where a hard link to it can be made.
    programs: TempDir,
    home: TempDir,
}

fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fixtures.join(name)
}

impl Place {
    fn new() -> Self {
        let programs = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let own = programs.path().join("agentctl");
        fs::hard_link(env!("CARGO_BIN_EXE_agentctl"), own).unwrap();
        symlink(fixture("waits/agentd"), programs.path().join("agentd")).unwrap();
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("run")).unwrap();
        Self { programs, home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.programs.path().join("agentctl"));
        command
            .env_clear()
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", fixture("manager").display()),
            )
            .env("HOME", self.home.path())
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .arg("service")
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn call(&self, words: &[&str]) -> (i32, String, String) {
        ran(&mut self.command(words))
    }

    #[track_caller]
    fn good(&self, words: &[&str]) -> (String, String) {
        let (code, out, err) = self.call(words);
        assert_eq!(code, 0, "{words:?}: {out}{err}");
        (out, err)
    }

    /// What the manager was told since the last look.
    fn told(&self) -> Vec<String> {
        let told = fs::read_to_string(self.path("told")).unwrap_or_default();
        fs::remove_file(self.path("told")).ok();
        told.lines().map(str::to_owned).collect()
    }

    /// What is below the user's units.
    fn units(&self) -> Vec<String> {
        let dir = self.path(".config/systemd/user");
        let names = |dir: &Path| -> Vec<String> {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            let names = entries.map(|entry| entry.file_name().into_string().unwrap());
            names.collect()
        };
        let mut all = names(&dir);
        all.sort();
        all
    }

    fn status(&self) -> (i32, Value) {
        let (code, out, _) = self.call(&["status", "-o", "json"]);
        (code, serde_json::from_str(&out).unwrap())
    }
}

const UNITS: [&str; 5] = [
    "agentd-agents.service",
    "agentd.service",
    "agentd.service.d",
    "agentd.slice",
    "agentd.socket",
];

const INSTALL: [&str; 4] = [
    "daemon-reload",
    "enable agentd.socket agentd.service",
    "start agentd.socket",
    "start agentd.service",
];

#[test]
fn it_is_installed_once_and_removed_without_a_trace() {
    let place = Place::new();
    let (out, _) = place.good(&["install", "--dry-run"]);
    assert!(
        out.contains("would run systemctl --user daemon-reload\n"),
        "{out}"
    );
    assert!(place.units().is_empty() && place.told().is_empty());

    let (out, err) = place.good(&["install"]);
    let program = place.programs.path().join("agentd");
    assert!(
        out.starts_with(&format!("program:  {}\n", program.display())),
        "{out}"
    );
    assert_eq!(err.matches("wrote ").count(), UNITS.len(), "{err}");
    assert_eq!(place.units(), UNITS);
    assert_eq!(place.told(), INSTALL);
    let unit = fs::read_to_string(place.path(".config/systemd/user/agentd.service")).unwrap();
    assert!(
        unit.contains(&format!("\nExecStart={}\n", program.display())),
        "{unit}"
    );
    let (code, status) = place.status();
    assert_eq!(
        (code, &status["installed"]),
        (0, &"own".into()),
        "{status:#}"
    );

    // Again: nothing to write. With another PATH: the service starts anew.
    let (_, err) = place.good(&["install"]);
    assert!(!err.contains("wrote"), "{err}");
    assert_eq!(place.told(), INSTALL);
    let mut other = place.command(&["install"]);
    let (code, ..) = ran(other.env("PATH", format!("{}:/bin", fixture("manager").display())));
    assert_eq!(code, 0);
    assert_eq!(place.told()[3], "restart agentd.service");

    let (_, err) = place.good(&["uninstall"]);
    assert_eq!(err.matches("removed ").count(), UNITS.len(), "{err}");
    assert!(place.units().is_empty(), "{:?}", place.units());
    assert_eq!(
        place.told(),
        [
            "stop agentd.socket agentd.service",
            "disable agentd.socket agentd.service",
            "daemon-reload"
        ]
    );
    let (_, err) = place.good(&["uninstall"]);
    assert_eq!(err, "nothing of agentctl service install is there\n");
    assert_eq!(place.status().0, 1);
}

/// Whether a line tells of this machine: its agents, and its user.
fn is_of_the_machine(line: &str) -> bool {
    let agents = ["claude:", "codex:", "gemini:", "opencode:"];
    let user = ["linger", "end when"];
    agents.iter().any(|agent| line.starts_with(agent))
        || user.iter().any(|word| line.contains(word))
}

/// What is said, with the test's own places taken out.
#[test]
fn what_is_done_is_told() {
    let place = Place::new();
    let mut said = String::new();
    for words in [&["install"][..], &["install"], &["status"], &["uninstall"]] {
        let (code, out, err) = place.call(words);
        let verb = words.join(" ");
        said += &format!("$ agentctl service {verb}\n{out}-- stderr\n{err}-- exit code {code}\n\n");
    }
    for (path, name) in [
        (place.programs.path(), "/PROGRAMS"),
        (place.home.path(), "/HOME"),
        (&fixture("manager"), "/MANAGER"),
    ] {
        said = said.replace(path.to_str().unwrap(), name);
    }
    let lines = said.lines().filter(|line| !is_of_the_machine(line));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

/// As if agentctl had died there: each step can be taken again.
#[test]
fn what_was_begun_is_completed_by_the_next_call() {
    let place = Place::new();
    for verb in ["daemon-reload", "enable", "start"] {
        fs::write(place.path("refuses"), verb).unwrap();
        let (code, _, err) = place.call(&["install"]);
        assert_eq!(code, 1, "{err}");
        assert!(err.contains(&format!("systemctl --user {verb}")), "{err}");
        assert!(err.contains("it may not be\nhint: "), "{err}");
    }
    fs::remove_file(place.path("refuses")).unwrap();
    place.good(&["install"]);
    assert_eq!(place.status().0, 0);
    for verb in ["stop", "disable", "daemon-reload"] {
        fs::write(place.path("refuses"), verb).unwrap();
        assert_eq!(place.call(&["uninstall"]).0, 1, "{verb}");
    }
    fs::remove_file(place.path("refuses")).unwrap();
    place.good(&["uninstall"]);
    assert!(place.units().is_empty());
}

#[test]
fn what_is_not_ours_is_named_and_left() {
    let place = Place::new();
    let socket = place.path(".config/systemd/user/agentd.socket");
    fs::create_dir_all(socket.parent().unwrap()).unwrap();
    fs::write(&socket, "mine").unwrap();
    let (code, _, err) = place.call(&["install"]);
    assert_eq!(code, 4, "{err}");
    assert!(
        err.contains("agentd.socket was not written by agentctl"),
        "{err}"
    );
    assert!(err.contains("--force"), "{err}");
    assert_eq!((place.units().len(), place.told().len()), (1, 0));
    assert_eq!(fs::read_to_string(&socket).unwrap(), "mine");

    place.good(&["install", "--force"]);
    let service = place.path(".config/systemd/user/agentd.service");
    let edited = fs::read_to_string(&service).unwrap() + "Nice=1\n";
    fs::write(&service, &edited).unwrap();
    place.told();
    for verb in ["install", "uninstall"] {
        let (code, _, err) = place.call(&[verb]);
        assert_eq!(code, 4, "{err}");
        assert!(err.contains("agentd.service was changed since"), "{err}");
    }
    assert_eq!((place.units().len(), place.told().len()), (UNITS.len(), 0));
    assert_eq!(fs::read_to_string(&service).unwrap(), edited);
    assert_eq!(place.status().1["installed"], "edited");
}

#[test]
fn where_it_cannot_be_it_says_what_to_do() {
    let place = Place::new();
    for verb in ["install", "uninstall"] {
        let mut without = place.command(&[verb]);
        let (code, _, err) = ran(without.env("PATH", "/no/such/place"));
        assert_eq!(code, 6, "{err}");
        assert!(
            err.contains("hint: agentctl run starts agentd without it"),
            "{err}"
        );
        let mut without = place.command(&[verb]);
        let (code, _, err) = ran(without.env_remove("XDG_RUNTIME_DIR"));
        assert_eq!(code, 6, "{err}");
        assert!(err.contains("hint: export XDG_RUNTIME_DIR="), "{err}");
    }
    assert!(
        place.units().is_empty(),
        "nothing is begun that cannot be done"
    );
    let mut homeless = place.command(&["install"]);
    let (code, _, err) = ran(homeless.env_remove("HOME"));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("hint: export HOME"), "{err}");
    fs::remove_file(place.programs.path().join("agentd")).unwrap();
    let (code, _, err) = place.call(&["install"]);
    assert_eq!(code, 1, "{err}");
    assert!(
        err.contains("there is no agentd beside this agentctl"),
        "{err}"
    );
}

#[test]
fn the_status_names_what_mends_it() {
    let place = Place::new();
    place.good(&["install"]);
    let fixes = |place: &Place| {
        let (code, status) = place.status();
        let troubles = status["troubles"].as_array().unwrap().iter();
        let wrong = troubles.filter(|trouble| trouble["severity"] != "note");
        let fixes: Vec<_> = wrong
            .map(|trouble| trouble["fix"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(code, i32::from(!fixes.is_empty()), "{status:#}");
        fixes
    };
    assert!(fixes(&place).is_empty());
    fs::remove_file(place.path("active")).unwrap();
    assert_eq!(
        fixes(&place),
        ["systemctl --user start agentd.socket agentd"]
    );
    fs::remove_file(place.path("enabled")).unwrap();
    assert_eq!(fixes(&place)[0], "agentctl service install");
    place.good(&["install"]);
    assert!(fixes(&place).is_empty());
    // The daemon was moved away, or is another than that of this agentctl.
    let service = place.path(".config/systemd/user/agentd.service");
    for program in ["/no/such/agentd", "/bin/true"] {
        let text = fs::read_to_string(&service).unwrap();
        let (head, _) = text.split_once("ExecStart=").unwrap();
        fs::write(&service, format!("{head}ExecStart={program}\n")).unwrap();
        assert_eq!(fixes(&place), ["agentctl service install --force"]);
    }
}
