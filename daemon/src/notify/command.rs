//! The operator's own program: it is run for each notice, without a shell.

use std::{
    env,
    ffi::{OsStr, OsString},
    time::Duration,
};

use super::Miss;
use crate::{
    agents,
    config::{Notify, find_program},
    process,
    task::limits::clip,
};

/// How much of what a program complains of is kept, bytes.
const COMPLAINT: usize = 4096;
/// Longest line of it that is told, bytes.
const TOLD: usize = 300;

/// Runs the command once, with `body` as its standard input. Its environment is
/// what agents begin with, and `variables`. Whatever it leaves running in its
/// process group is ended.
pub(super) async fn tell(
    words: &[String],
    variables: impl IntoIterator<Item = (&str, OsString)>,
    body: &[u8],
    limit: Duration,
) -> Result<(), Miss> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Miss::Refused("no program is named".to_owned()));
    };
    let base = agents::base_environment(None, &|name| env::var_os(name));
    let base = base.map_err(|error| Miss::failed(error.to_string()))?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the operator's own program, within limits"
    )]
    let mut command = std::process::Command::new(program);
    command
        .args(arguments)
        .current_dir("/")
        .env_clear()
        .envs(base)
        .envs(variables);
    let told = process::tell(command, body, limit, COMPLAINT).await;
    match told {
        Err(error) => Err(Miss::failed(format!("cannot run {program}: {error}"))),
        Ok(None) => Err(Miss::failed(format!(
            "{program} took longer than {limit:?} and was ended"
        ))),
        Ok(Some(ended)) if ended.status.success() => Ok(()),
        Ok(Some(ended)) => {
            let said = complaint(&ended.stderr);
            Err(Miss::failed(format!("{program}: {}{said}", ended.status)))
        }
    }
}

/// The first line that says anything, harmless and not too long.
fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let mut lines = text.lines().map(str::trim);
    let line = lines.find(|line| !line.is_empty());
    line.map_or_else(String::new, |line| {
        let line = line.replace(char::is_control, " ");
        format!(": {}", clip(&line, TOLD))
    })
}

/// The program that is to be run and is not there, or may not be run.
#[must_use]
pub fn missing(notify: &Notify, path: Option<&OsStr>) -> Option<String> {
    let program = notify.command.first()?;
    let found = find_program(program, path.unwrap_or_default());
    found.is_none().then(|| program.clone())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    async fn sh(script: &str) -> Result<(), Miss> {
        let words = ["sh", "-c", script, "sh", "$(echo no)"].map(str::to_owned);
        let variables = [("AGENTD_TASK", OsString::from("7"))];
        tell(&words, variables, b"{\"text\": \"$(false)\"}", LONG).await
    }

    #[tokio::test]
    async fn a_program_is_told_by_standard_input_and_environment() {
        let good = r#"test "$1" = '$(echo no)' && test "$AGENTD_TASK" = 7 && grep -q '$(false)'"#;
        assert_eq!(sh(good).await, Ok(()));
        // Of the daemon's own environment only the base is passed on.
        assert!(env::vars().any(|(name, _)| name == "CARGO_MANIFEST_DIR"));
        assert_eq!(sh("test -z \"$CARGO_MANIFEST_DIR\"").await, Ok(()));
    }

    #[tokio::test]
    async fn what_it_fails_of_is_one_line() {
        let told = sh("printf '\\n  no \\033[1mroute\\nmore\\n' >&2; exit 4").await;
        let why = "sh: exit status: 4: no  [1mroute";
        assert_eq!(told, Err(Miss::failed(why)));
        let words = ["/nonexistent/tell-me".to_owned()];
        let told = tell(&words, [], b"", LONG).await.unwrap_err();
        let why = told.to_string();
        assert!(
            why.starts_with("cannot run /nonexistent/tell-me: "),
            "{why}"
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_missed() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("tell-me");
        let notify = |word: &str| Notify {
            command: vec![word.to_owned(), "x".to_owned()],
            ..Notify::default()
        };
        let path = Some(dir.path().as_os_str());
        assert_eq!(missing(&Notify::default(), path), None);
        assert_eq!(
            missing(&notify("tell-me"), path),
            Some("tell-me".to_owned())
        );
        fs::write(&program, "").unwrap();
        assert!(missing(&notify("tell-me"), path).is_some());
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(missing(&notify("tell-me"), path), None);
        assert_eq!(missing(&notify(program.to_str().unwrap()), None), None);
        assert!(missing(&notify("tell-me"), None).is_some());
    }
}
