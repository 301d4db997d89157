//! Adds the files of a checkout to the copy of its index.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::{ADD_LIMIT, Checkout, LeftOut, MAX_ALL, MAX_FILE, index::CopiedIndex, names, pathspec};
use crate::{
    file,
    workspace::{
        WorkspaceError,
        git::{Git, GitError},
    },
};

/// Adds what has changed, what is new and what is gone.
pub(super) fn everything(
    checkout: &Checkout<'_>,
    index: &CopiedIndex,
    left_out: &mut Vec<LeftOut>,
) -> Result<(), WorkspaceError> {
    let git = index.git(checkout).at_length();
    let others: [&dyn AsRef<OsStr>; 4] = [&"ls-files", &"-o", &"-z", &"--exclude-standard"];
    let changed: [&dyn AsRef<OsStr>; 4] = [
        &"diff-files",
        &"-z",
        &"--name-only",
        &"--ignore-submodules=all",
    ];
    let (others, changed) = (git.call(&others)?, git.call(&changed)?);
    let found: BTreeSet<PathBuf> = names(&others).chain(names(&changed)).collect();
    let (_, kept_out) = choose(checkout.path, found, left_out);
    let mut specs = vec![OsStr::new(":/").to_owned()];
    for path in &kept_out {
        specs.push(pathspec(":(top,exclude,literal)", path));
    }
    add(&git, index, &specs, &["--all", "--sparse"], left_out)
}

/// Adds what is in the place of files of a commit, ignored or not: it would be
/// overwritten if the checkout were set to that commit.
pub(super) fn in_the_way(
    checkout: &Checkout<'_>,
    index: &CopiedIndex,
    target: &str,
    left_out: &mut Vec<LeftOut>,
) -> Result<(), WorkspaceError> {
    let git = index.git(checkout).at_length();
    let missing: [&dyn AsRef<OsStr>; 7] = [
        &"diff-index",
        &"--cached",
        &"--raw",
        &"-z",
        &"--no-renames",
        &"--diff-filter=DT",
        &target,
    ];
    let missing = git.call(&missing)?;
    let mut obstacles = BTreeSet::new();
    let mut fields = missing.split(|byte| *byte == 0);
    while let (Some(modes), Some(path)) = (fields.next(), fields.next()) {
        let path = Path::new(OsStr::from_bytes(path));
        if modes.starts_with(b":") && is_now_repository(modes) {
            left_out.push(repository(path, true));
        } else {
            obstacles.extend(obstacle(checkout.path, path));
        }
    }
    let mut found = BTreeSet::new();
    for path in &obstacles {
        let spec = pathspec(":(top,literal)", path);
        let unknown = git.call(&[&"ls-files", &"-o", &"-z", &"--", &spec])?;
        found.extend(names(&unknown));
    }
    let before = left_out.len();
    let (chosen, _) = choose(checkout.path, found, left_out);
    // It would not be left alone as others are.
    left_out[before..]
        .iter_mut()
        .for_each(|left| left.at_risk = true);
    if chosen.is_empty() {
        return Ok(());
    }
    let specs: Vec<_> = chosen
        .iter()
        .map(|path| pathspec(":(top,literal)", path))
        .collect();
    add(&git, index, &specs, &["--force", "--sparse"], left_out)
}

/// `:100644 160000 …`: the commit has a file, and here is a repository.
fn is_now_repository(modes: &[u8]) -> bool {
    modes[1..].splitn(3, |byte| *byte == b' ').nth(1) == Some(b"160000")
}

/// What lies where a file of a commit would be: something of its name, or a
/// file where it needs a directory.
fn obstacle(top: &Path, wanted: &Path) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    let mut parts = wanted.components().peekable();
    while let Some(part) = parts.next() {
        path.push(part);
        let found = top.join(&path).symlink_metadata().ok()?;
        if parts.peek().is_none() || !found.is_dir() {
            return Some(path);
        }
    }
    None
}

/// Parts files that are recorded from those that are not, and says of these
/// why.
fn choose(
    top: &Path,
    found: BTreeSet<PathBuf>,
    left_out: &mut Vec<LeftOut>,
) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut chosen, mut kept_out) = (Vec::new(), Vec::new());
    let mut all = 0_u64;
    for path in found {
        // Git lists a repository inside as a directory.
        if path.as_os_str().as_bytes().ends_with(b"/") {
            left_out.push(repository(&path, false));
            kept_out.push(path);
            continue;
        }
        let size = match fs::symlink_metadata(top.join(&path)) {
            Ok(meta) if meta.is_file() => meta.len(),
            Ok(_) | Err(_) => 0,
        };
        if size > MAX_FILE || all.saturating_add(size) > MAX_ALL {
            left_out.push(LeftOut {
                what: format!("{}, for its {} MiB", path.display(), size >> 20),
                at_risk: true,
            });
            kept_out.push(path);
            continue;
        }
        all += size;
        chosen.push(path);
    }
    (chosen, kept_out)
}

fn repository(path: &Path, at_risk: bool) -> LeftOut {
    LeftOut {
        what: format!("{}, a repository of its own", path.display()),
        at_risk,
    }
}

/// `git add`, which goes on behind files that it cannot read.
fn add(
    git: &Git<'_>,
    index: &CopiedIndex,
    specs: &[std::ffi::OsString],
    flags: &[&str],
    left_out: &mut Vec<LeftOut>,
) -> Result<(), WorkspaceError> {
    let list_at = index.beside();
    let mut list = Vec::new();
    for spec in specs {
        list.extend_from_slice(spec.as_bytes());
        list.push(0);
    }
    file::remove(&list_at)
        .and_then(|()| file::make(&list_at)?.write_all(&list))
        .map_err(|err| WorkspaceError::io(&list_at, &err))?;
    let from = pathspec("--pathspec-from-file=", &list_at);
    let mut words: Vec<&dyn AsRef<OsStr>> = vec![&"add", &"--ignore-errors"];
    words.extend(flags.iter().map(|flag| flag as &dyn AsRef<OsStr>));
    words.push(&from);
    words.push(&"--pathspec-file-nul");
    match git.within(ADD_LIMIT).call(&words) {
        Ok(_) => Ok(()),
        Err(GitError::Failed {
            code: Some(1),
            words,
            ..
        }) => {
            left_out.push(LeftOut {
                what: format!("what git could not read: {words}"),
                at_risk: true,
            });
            Ok(())
        }
        Err(err) => Err(err.into()),
    }
}
