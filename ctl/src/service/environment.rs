//! What a service does not know of the shell in which it is installed: where the
//! programs of agents are, and where this user keeps state and configuration.

use std::{collections::BTreeSet, env, path::PathBuf};

use agentd_proto::endpoint::Environment;

use crate::doctor::{Surroundings, agents::KNOWN};

/// Where programs are if the shell does not say it.
const USUAL: &str = "/usr/local/bin:/usr/bin:/bin";

/// What is taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    /// `PATH`: of the shell's directories those that are there.
    pub(crate) path: String,
    /// Directories of the shell's `PATH` that are left out.
    pub(crate) left_out: Vec<String>,
    /// The programs of agents, and where on that `PATH` they are.
    pub(crate) agents: Vec<(&'static str, Option<PathBuf>)>,
    /// Other variables, that say where things are kept.
    others: Vec<(&'static str, String)>,
}

impl Taken {
    /// Of this shell.
    pub(crate) fn of_shell(around: &Surroundings, env: &Environment) -> Self {
        let (mut path, mut left_out, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        let shell = around.path.clone().unwrap_or_default();
        for dir in env::split_paths(&shell).filter(|dir| !dir.as_os_str().is_empty()) {
            match dir.to_str().filter(|text| holds(text)) {
                Some(text) if dir.is_absolute() && dir.is_dir() => {
                    if seen.insert(text.to_owned()) {
                        path.push(text.to_owned());
                    }
                }
                Some(_) | None => left_out.push(dir.to_string_lossy().into_owned()),
            }
        }
        let state = env.xdg_state_home.as_ref().map(PathBuf::from);
        // Only if it is not where it would be anyway.
        let config = around.config_home.clone().filter(|config| {
            let home = env.home.as_ref().map(PathBuf::from);
            home.is_none_or(|home| home.join(".config") != *config)
        });
        let named = [("XDG_STATE_HOME", state), ("XDG_CONFIG_HOME", config)];
        let others = named.into_iter().filter_map(|(name, dir)| {
            let dir = dir.filter(|dir| dir.is_absolute())?;
            let text = dir.to_str().filter(|text| holds(text))?;
            Some((name, text.to_owned()))
        });
        Self {
            path: match path.is_empty() {
                true => USUAL.to_owned(),
                false => path.join(":"),
            },
            left_out,
            agents: KNOWN.map(|name| (name, around.find(name))).into(),
            others: others.collect(),
        }
    }

    /// A drop-in of the service that says it.
    pub(crate) fn drop_in(&self) -> String {
        let path = ("PATH", &self.path);
        let others = self.others.iter().map(|(name, value)| (*name, value));
        let lines = std::iter::once(path).chain(others);
        let lines = lines.map(|(name, value)| format!("Environment={}\n", quoted(name, value)));
        format!(
            "# The shell's, in which agentctl service install was run.\n[Service]\n{}",
            lines.collect::<String>()
        )
    }
}

/// The `PATH` that a drop-in says.
pub(crate) fn path_of(drop_in: &str) -> Option<String> {
    let mut lines = drop_in.lines();
    let value = lines.find_map(|line| line.strip_prefix("Environment=\"PATH="))?;
    let mut text = String::new();
    let mut letters = value.strip_suffix('"')?.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' | '%' => text.push(letters.next()?),
            _ => text.push(letter),
        }
    }
    Some(text)
}

/// Whether a unit can hold it: a line is a line.
fn holds(text: &str) -> bool {
    !text.contains(char::is_control)
}

/// An assignment as `Environment=` takes it (systemd.exec(5), systemd.syntax(7)).
fn quoted(name: &str, value: &str) -> String {
    let mut text = String::with_capacity(name.len() + value.len() + 8);
    for letter in value.chars() {
        match letter {
            '\\' | '"' => text.push('\\'),
            // It would begin a specifier.
            '%' => text.push('%'),
            _ => {}
        }
        text.push(letter);
    }
    format!("\"{name}={text}\"")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn taken(path: &str, env: &Environment) -> Taken {
        let around = Surroundings {
            path: Some(path.into()),
            config_home: Some("/home/ann/.config".into()),
            ..Surroundings::default()
        };
        Taken::of_shell(&around, env)
    }

    #[test]
    fn only_directories_that_are_there_are_recorded_and_once() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        for name in ["a", "b \"%h\\"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("file"), "").unwrap();
        let (a, b, gone, file) = (at("a"), at("b \"%h\\"), at("gone"), at("file"));
        let path = format!("{b}:{gone}:{a}:{b}:relative:{file}::{a}");
        let env = Environment::default();
        let taken = taken(&path, &env);
        assert_eq!(taken.path, format!("{b}:{a}"));
        assert_eq!(taken.left_out, [gone, "relative".to_owned(), file]);
        // What systemd would read is what was meant.
        let text = taken.drop_in();
        assert!(text.contains(r#"b \"%%h\\:"#), "{text}");
        assert_eq!(path_of(&text), Some(taken.path));
        assert_eq!(path_of("[Service]\n"), None);
    }

    #[test]
    fn a_shell_without_a_path_gives_the_usual_one() {
        let env = Environment {
            home: Some("/home/ann".into()),
            ..Environment::default()
        };
        let taken = taken("/no/such/place", &env);
        assert_eq!(taken.path, USUAL);
        assert_eq!(taken.drop_in().matches("Environment=").count(), 1);
    }

    #[test]
    fn where_things_are_kept_is_taken_over_if_it_is_elsewhere() {
        let env = Environment {
            home: Some("/home/bob".into()),
            xdg_state_home: Some("/data/state".into()),
            ..Environment::default()
        };
        let text = taken("", &env).drop_in();
        assert!(text.contains("\"XDG_STATE_HOME=/data/state\"\n"), "{text}");
        assert!(
            text.contains("\"XDG_CONFIG_HOME=/home/ann/.config\"\n"),
            "{text}"
        );
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_recorded_is_read_again(value in "[^\\p{Cc}]{0,40}") {
            let text = format!("[Service]\nEnvironment={}\n", quoted("PATH", &value));
            proptest::prop_assert_eq!(path_of(&text), Some(value));
        }
    }
}
