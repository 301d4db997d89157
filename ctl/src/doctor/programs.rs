//! What `agentd` itself says of its configuration and store when no daemon runs.

use std::{
    io,
    path::Path,
    process::{Command, Stdio},
};

use super::{Finding, Severity, mend::Mend, shell_word};

/// What it says that is told; it bounds its own lists, too.
const LINES: usize = 20;

/// Runs `agentd` with these words to its end: whether all was well, and what it
/// said.
///
/// # Errors
/// If it cannot be started.
#[expect(
    clippy::disallowed_methods,
    reason = "agentd is asked about its own files, which agentctl does not read"
)]
pub(crate) fn run(program: &Path, words: &[&str]) -> io::Result<(bool, String)> {
    let ended = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    Ok((ended.status.success(), said))
}

/// Whether the configuration is good.
pub(crate) fn configuration(program: &Path) -> Vec<Finding> {
    let finding = |severity, what: &str| Finding::new("config", severity, what);
    match run(program, &["check-config"]) {
        Ok((true, said)) => vec![finding(Severity::Ok, said.trim())],
        Ok((false, said)) => {
            let lines = said.lines().filter(|line| !line.trim().is_empty());
            let told = lines.take(LINES).map(|line| {
                let problem = line.strip_prefix("agentd: ").unwrap_or(line);
                finding(Severity::Error, problem)
                    .because("agentd does not start with it")
                    .fix("mend the file; agentd check-config says whether it is good")
            });
            told.collect()
        }
        Err(error) => vec![cannot(program, &error)],
    }
}

/// Whether the store agrees with itself.
pub(crate) fn store(program: &Path) -> Finding {
    let finding = |severity, what: &str| Finding::new("store", severity, what);
    let (good, said) = match run(program, &["check-store"]) {
        Ok(ended) => ended,
        Err(error) => return cannot(program, &error),
    };
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = lines.last().copied().unwrap_or_default();
    if good {
        return finding(Severity::Ok, last);
    }
    let told = lines.iter().find_map(|line| line.strip_prefix("agentd: "));
    let told = told.unwrap_or(last);
    let hint = lines.iter().find_map(|line| line.strip_prefix("hint: "));
    let others: Vec<_> = lines
        .iter()
        .filter(|line| !line.starts_with("agentd: ") && !line.starts_with("hint: "))
        .take(LINES)
        .copied()
        .collect();
    if told.contains("there is no store") {
        return finding(Severity::Note, told).because("nothing was ever run here");
    }
    if told.starts_with("another agentd uses") {
        return finding(Severity::Error, told)
            .because("it does not answer at the socket that was asked: it listens elsewhere, or is stuck")
            .fix("ls -l the link socket in that directory, then agentctl --socket PATH status");
    }
    let mendable = hint.is_some_and(|hint| hint.starts_with("agentd check-store --fix"));
    let mend = Mend::Store {
        program: program.to_owned(),
    };
    let broken = finding(Severity::Error, told).because(others.join("; "));
    match (mendable, hint) {
        (true, _) => Finding {
            fix: mend.command(),
            mend: Some(mend),
            ..broken
        },
        (false, Some(hint)) => broken.fix(hint),
        (false, None) => broken.fix(format!(
            "{} check-store",
            shell_word(&program.to_string_lossy())
        )),
    }
}

fn cannot(program: &Path, error: &io::Error) -> Finding {
    let what = format!("{} cannot be started", program.display());
    Finding::new("daemon", Severity::Error, what)
        .because(error.to_string())
        .fix("install agentd anew")
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

    use super::*;

    fn program(dir: &Path, script: &str) -> PathBuf {
        let file = dir.join("agentd");
        let new = dir.join("new");
        fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&new, &file).unwrap();
        file
    }

    #[test]
    fn what_agentd_says_of_its_files_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let says = |lines: &str, code: i32| {
            let text = format!("cat >&2 <<'E'\n{lines}\nE\nexit {code}");
            program(dir.path(), &text)
        };
        let good = configuration(&says("/c.toml: good; agents: shell", 0));
        assert_eq!(good[0].severity, Severity::Ok);
        let bad = configuration(&says("agentd: /c.toml:1:9: a\n/c.toml:2:1: b", 1));
        let told: Vec<_> = bad.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(told, ["/c.toml:1:9: a", "/c.toml:2:1: b"]);

        let good = store(&says("7 rows: good", 0));
        assert_eq!(
            (good.severity, good.what.as_str()),
            (Severity::Ok, "7 rows: good")
        );
        let none = store(&says("agentd: there is no store in /s", 1));
        assert_eq!(none.severity, Severity::Note);
        let held = store(&says("agentd: another agentd uses /s: stop it first", 1));
        assert!(held.severity.is_wrong() && held.mend.is_none(), "{held:?}");
        let faulty = "by_state: task 1 is missing\nagentd: 1 faults\nhint: agentd check-store --fix mends them";
        let faulty = store(&says(faulty, 1));
        assert_eq!(faulty.why, "by_state: task 1 is missing");
        assert!(
            faulty.fix.ends_with("agentd check-store --fix"),
            "{faulty:?}"
        );
        assert!(matches!(faulty.mend, Some(Mend::Store { .. })));
        let damaged = "agentd: the store /s is damaged\nhint: put the newest copy in its place";
        let damaged = store(&says(damaged, 1));
        assert_eq!(damaged.fix, "put the newest copy in its place");
        assert!(damaged.mend.is_none());

        let gone = dir.path().join("gone");
        assert!(store(&gone).severity.is_wrong());
        assert!(configuration(&gone)[0].severity.is_wrong());
    }
}
