//! Control groups, version 2 (cgroups(7)): a leaf for the tree of each attempt.
//!
//! A leaf is the better hold on a tree: what is in it cannot leave it by
//! forking, `cgroup.kill` meets all of it at once, and `cgroup.events` proves
//! that nothing is left. It needs a part of the hierarchy that we may change;
//! without one there are the parent of the tree and the marker, as always.
//!
//! **Where.** In the daemon's own group, or, if a service manager has put the
//! daemon into a sub-group of the group that it handed over
//! (`DelegateSubgroup=`), beside it. Limits need controllers, and these may
//! only be switched on in a group without processes: so in the second case
//! they are ours to switch on, and in the first what is on is used and nothing
//! is changed. A service manager could not start the daemon again in a group
//! that passes controllers on and still holds a process.
//!
//! A leaf is named after state directory and attempt, so that nobody takes
//! the leaf of another for its own, and its path goes into the launch file
//! before it is made: whoever comes later finds it.

mod leaf;
mod scope;

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path, PathBuf},
};

use rustix::fs::{Access, access, getxattr};
use sha2::{Digest as _, Sha256};

pub use self::{
    leaf::{Leaf, LeafLimits},
    scope::{NoScopes, Scopes, is_scope_of, settle},
};
use super::stat::is_gone;
use crate::task::id::AttemptId;

/// The controllers that limits need.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];
/// What a service manager writes on a group that it hands over; the second for
/// kernels and managers on which users cannot see the first.
const DELEGATED: [&str; 2] = ["user.delegate", "trusted.delegate"];
/// What the name of every leaf begins with.
const PREFIX: &str = "agentd-";
/// Bytes of the state directory's digest in a leaf's name.
const DIGEST: usize = 8;

/// The place where leaves can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    base: PathBuf,
    /// Of the names of all leaves of one state directory.
    prefix: String,
    controllers: Vec<&'static str>,
}

impl Groups {
    /// Looks for a place where this process may make leaves, and switches
    /// controllers on if that is for us to do; `None` if there is none.
    ///
    /// # Errors
    /// If `/proc` or the place itself cannot be read.
    pub fn find(state_dir: &Path) -> io::Result<Option<Self>> {
        let Some(own) = own_group()? else {
            return Ok(None);
        };
        let (base, ours) = match own.parent() {
            Some(parent) if !is_delegated(&own) && is_delegated(parent) => {
                let empty = read(&parent.join("cgroup.procs"))?.trim().is_empty();
                (parent.to_owned(), empty)
            }
            Some(_) | None => (own, false),
        };
        if !is_usable(&base) {
            return Ok(None);
        }
        if ours {
            for controller in CONTROLLERS {
                // Those that we are not given cannot be switched on.
                write(
                    &base.join("cgroup.subtree_control"),
                    &format!("+{controller}"),
                )
                .ok();
            }
        }
        let on = read(&base.join("cgroup.subtree_control"))?;
        let on: Vec<&str> = on.split_ascii_whitespace().collect();
        let controllers = CONTROLLERS.into_iter().filter(|name| on.contains(name));
        Ok(Some(Self {
            controllers: controllers.collect(),
            prefix: prefix(state_dir),
            base,
        }))
    }

    /// Where the leaf of an attempt is.
    #[must_use]
    pub fn leaf(&self, attempt: AttemptId) -> PathBuf {
        self.base.join(format!("{}{attempt}", self.prefix))
    }

    /// The group in which leaves are made.
    #[must_use]
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Those of memory, pids and cpu that leaves do not have.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let missing = |name: &&str| !self.controllers.contains(name);
        CONTROLLERS.into_iter().filter(missing).collect()
    }

    /// Those of memory, pids and cpu that leaves have.
    #[must_use]
    pub fn controllers(&self) -> &[&'static str] {
        &self.controllers
    }
}

/// Whether this is a name that the leaf of this attempt has.
#[must_use]
pub fn is_leaf_of(path: &Path, state_dir: &Path, attempt: AttemptId) -> bool {
    is_own(path, &format!("{}{attempt}", prefix(state_dir)))
}

/// Whether this is the path of a group of this name.
fn is_own(path: &Path, name: &str) -> bool {
    path.is_absolute()
        && !path.components().any(|part| part == Component::ParentDir)
        && path.file_name().is_some_and(|found| *found == *name)
}

fn prefix(state_dir: &Path) -> String {
    let digest = Sha256::digest(state_dir.as_os_str().as_bytes());
    let mut prefix = PREFIX.to_owned();
    for byte in &digest[..DIGEST] {
        write!(prefix, "{byte:02x}").expect("a string takes whatever is written");
    }
    prefix.push('-');
    prefix
}

/// A leaf as its name tells of it, that of another daemon, too.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeafName {
    name: String,
    pub(super) attempt: AttemptId,
}

/// The leaf in which, or below which, a process is; `None` also if the process
/// is gone.
///
/// # Errors
/// If `/proc` cannot be read.
pub(super) fn leaf_of(pid: u32) -> io::Result<Option<LeafName>> {
    let group = group_of(&pid.to_string())?.unwrap_or_default();
    Ok(group.split('/').find_map(|name| {
        let (digest, attempt) = name.strip_prefix(PREFIX)?.split_once('-')?;
        let ours = digest.len() == 2 * DIGEST && digest.bytes().all(|b| b.is_ascii_hexdigit());
        let attempt = attempt.parse().ok().filter(|_| ours)?;
        Some(LeafName {
            name: name.to_owned(),
            attempt,
        })
    }))
}

/// Gone, or removed while it was open.
fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

/// The value of a line "name value".
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    lines.find_map(|line| {
        let (found, value) = line.split_once(' ')?;
        value.parse().ok().filter(|_| found == name)
    })
}

fn read(path: &Path) -> io::Result<String> {
    fs::read_to_string(path)
}

/// In one call: the kernel takes each for a command.
fn write(path: &Path, text: &str) -> io::Result<()> {
    File::options()
        .write(true)
        .open(path)?
        .write_all(text.as_bytes())
}

/// Whether a service manager has handed this group over.
fn is_delegated(group: &Path) -> bool {
    DELEGATED.into_iter().any(|name| {
        let mut value = [0; 8];
        getxattr(group, name, &mut value[..]).is_ok_and(|length| value[..length] == *b"1")
    })
}

/// Whether we may make leaves here and let processes in.
fn is_usable(base: &Path) -> bool {
    // The root of all has no type.
    let is_domain = match read(&base.join("cgroup.type")) {
        Ok(kind) => kind.trim() == "domain",
        Err(error) => is_absent(&error),
    };
    is_domain
        && access(base, Access::WRITE_OK | Access::EXEC_OK).is_ok()
        && access(base.join("cgroup.procs"), Access::WRITE_OK).is_ok()
}

/// The directory of the group in which this process is.
fn own_group() -> io::Result<Option<PathBuf>> {
    group_of("self")?.map_or(Ok(None), |group| mounted(&group))
}

/// The directory of a group, if it is to be seen.
fn mounted(group: &str) -> io::Result<Option<PathBuf>> {
    let mounts = read(Path::new("/proc/self/mountinfo"))?;
    Ok(mounts.lines().find_map(|line| place(line, group)))
}

/// The version 2 group of a process as `/proc/PID/cgroup` has it; `None` if
/// the kernel has no such groups or the process is gone.
fn group_of(process: &str) -> io::Result<Option<String>> {
    let text = match read(&Path::new("/proc").join(process).join("cgroup")) {
        Ok(text) => text,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut lines = text.lines();
    Ok(lines.find_map(|line| Some(line.strip_prefix("0::")?.to_owned())))
}

/// Where a group is, if this line of `/proc/self/mountinfo` is a mount of the
/// version 2 hierarchy that shows it.
fn place(line: &str, group: &str) -> Option<PathBuf> {
    let (before, behind) = line.split_once(" - ")?;
    if behind.split(' ').next()? != "cgroup2" {
        return None;
    }
    // Number, parent, device, root, mount point.
    let mut fields = before.split(' ').skip(3);
    let root = unescaped(fields.next()?);
    let point = unescaped(fields.next()?);
    // One outside of our namespace's root begins with "/..".
    let inner = Path::new(group).strip_prefix(root).ok()?;
    let hidden = inner.components().any(|part| part == Component::ParentDir);
    let path = point.join(inner);
    (!hidden && path.is_dir()).then_some(path)
}

/// Spaces and the like are written as three octal digits there.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind
            .get(..3)
            .and_then(|digits| str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let (b'\\', Some(code)) = (first, code) {
            bytes.push(code);
            rest = &behind[3..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    PathBuf::from(OsStr::from_bytes(&bytes))
}

#[cfg(test)]
mod tests;
