//! Git as it has to be to record files byte by byte: no program of the
//! repository runs, and nothing is converted.
//!
//! Attributes are read from an empty tree, so that no line ends, encodings and
//! filters apply to a path; filters that `info/attributes` names nevertheless
//! are set to nothing. Hooks and file system monitors are off. What git writes
//! is synced, because somebody may remove the files afterwards. What only
//! `info/attributes` says of line ends cannot be turned off.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::Path,
};

use super::git::{Git, GitError};

/// What is set besides filters.
const SETTINGS: [(&str, &str); 15] = [
    ("core.hooksPath", "/dev/null"),
    ("core.attributesFile", "/dev/null"),
    ("core.autocrlf", "false"),
    ("core.safecrlf", "false"),
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    ("core.splitIndex", "false"),
    ("core.fsync", "objects,reference"),
    ("core.fsyncMethod", "batch"),
    ("submodule.recurse", "false"),
    ("advice.addEmbeddedRepo", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("user.name", "agentd"),
    ("user.email", "agentd@localhost"),
];

/// Variables for [`Git::env`].
#[derive(Debug)]
pub(super) struct Raw {
    vars: Vec<(OsString, OsString)>,
}

impl Raw {
    /// For the repository that `git` works in.
    pub(super) fn of(git: &Git<'_>) -> Result<Self, GitError> {
        let empty = git.call(&[&"hash-object", &"-t", &"tree", &"/dev/null"])?;
        let names: [&dyn AsRef<OsStr>; 5] = [
            &"config",
            &"-z",
            &"--name-only",
            &"--get-regexp",
            &r"^filter\.",
        ];
        let names = match git.call(&names) {
            Ok(names) => names,
            // There are none.
            Err(GitError::Failed { code: Some(1), .. }) => Vec::new(),
            Err(err) => return Err(err),
        };
        let mut settings: Vec<(OsString, &str)> = SETTINGS
            .iter()
            .map(|(name, value)| (OsString::from(name), *value))
            .collect();
        for filter in filters(&names) {
            for (key, value) in [
                ("clean", ""),
                ("smudge", ""),
                ("process", ""),
                ("required", "false"),
            ] {
                let mut name = OsString::from("filter.");
                name.push(OsStr::from_bytes(filter));
                name.push(".");
                name.push(key);
                settings.push((name, value));
            }
        }
        let mut vars = vec![
            ("GIT_ATTR_SOURCE".into(), OsString::from_vec(empty)),
            ("GIT_ATTR_NOSYSTEM".into(), "1".into()),
            ("GIT_CONFIG_COUNT".into(), settings.len().to_string().into()),
        ];
        for (number, (name, value)) in settings.into_iter().enumerate() {
            vars.push((format!("GIT_CONFIG_KEY_{number}").into(), name));
            vars.push((format!("GIT_CONFIG_VALUE_{number}").into(), value.into()));
        }
        Ok(Self { vars })
    }

    /// The variables as they are.
    pub(super) fn vars(&self) -> &[(OsString, OsString)] {
        &self.vars
    }

    /// With another index than the checkout's own.
    pub(super) fn with_index(&self, index: &Path) -> Vec<(OsString, OsString)> {
        let mut vars = self.vars.clone();
        vars.push(("GIT_INDEX_FILE".into(), index.into()));
        vars
    }

    /// With dates that are always the same: what holds the same is then the
    /// same commit.
    pub(super) fn without_dates(vars: &[(OsString, OsString)]) -> Vec<(OsString, OsString)> {
        let mut vars = vars.to_vec();
        for name in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
            vars.push((name.into(), "@0 +0000".into()));
        }
        vars
    }
}

/// The names between `filter.` and the key, each once.
fn filters(names: &[u8]) -> BTreeSet<&[u8]> {
    names
        .split(|byte| *byte == 0)
        .filter_map(|name| {
            let rest = name.strip_prefix(b"filter.")?;
            let end = rest.iter().rposition(|byte| *byte == b'.')?;
            Some(&rest[..end])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_found_by_their_names() {
        let names = b"filter.lfs.clean\0filter.lfs.process\0filter.a.b=c.smudge\0filter.x\0";
        let found: Vec<&[u8]> = filters(names).into_iter().collect();
        assert_eq!(found, [&b"a.b=c"[..], b"lfs"]);
    }
}
