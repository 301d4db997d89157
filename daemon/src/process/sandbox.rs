//! A sandbox for a tree of processes, by the kernel's Landlock (landlock(7)).
//!
//! What is in it writes where it was told that it may, reads what its user may but
//! for what is hidden, signals nobody outside, and looks into no process outside
//! (which Landlock forbids by itself). It gains no rights by a setuid program. Its
//! children are in it, too, whatever they do, and nothing leads out of it.
//!
//! Rules of Landlock only allow, and hold for all that is below a directory. So
//! hiding one is allowing all beside it and beside its ancestors, one by one; what
//! is new beside them later on is hidden with it. The names of what is hidden are
//! seen.
//!
//! It is no wall against who obeys whoever connects: the network, and sockets of
//! the file system, are as open as without it. A program of our own that may be led
//! to run others ([`Cage::hold`]) makes no sockets of the file system either.

use std::{
    fs, io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{fs::FileTypeExt as _, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, Scope,
};
use nix::{errno::Errno, libc};

use super::sockets;

/// The oldest that will do (Linux 6.2): with an older one a file that may not be
/// written to could still be emptied.
const LEAST: ABI = ABI::V3;
/// The first that keeps signals in (Linux 6.12); with an older one they are not.
const SIGNALS: ABI = ABI::V6;

/// What every program needs: where whatever is temporary goes, and the devices
/// that hold nothing.
const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
const DEVICES: [&str; 9] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/fd",
];

/// The capabilities (capabilities(7)) that root keeps in it, by number: those that
/// containers usually leave. With others it reads the environments of processes
/// outside (perfmon) or loads modules.
const KEPT: [u32; 14] = [
    0,  // chown
    1,  // dac_override
    3,  // fowner
    4,  // fsetid
    5,  // kill
    6,  // setgid
    7,  // setuid
    8,  // setpcap
    10, // net_bind_service
    13, // net_raw
    18, // sys_chroot
    27, // mknod
    29, // audit_write
    31, // setfcap
];
/// More than any kernel has.
const CAPABILITIES: u32 = 64;

/// The most places that are allowed one by one.
const MOST: usize = 20_000;

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum CageError {
    /// The kernel has none, or an old one.
    #[error("this kernel has no Landlock of Linux 6.2 or newer, or it is switched off")]
    Unsupported,
    /// Something hidden is where everybody writes.
    #[error("{}, which is to be hidden, is in {}, where it may write", hidden.display(), writable.display())]
    Exposed {
        /// What is to be hidden.
        hidden: PathBuf,
        /// Where it may write.
        writable: PathBuf,
    },
    /// There is too much beside what is hidden.
    #[error("there are more than {MOST} files beside what is to be hidden and its directories")]
    TooMuch,
    /// The system refused.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// Why not.
        source: io::Error,
    },
}

impl CageError {
    fn rules(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::System {
            what: "the kernel takes no such rules".to_owned(),
            source: io::Error::other(error),
        }
    }
}

/// Rules that a process can take on, and never lays down again.
#[derive(Debug, Clone)]
pub struct Cage(Arc<OwnedFd>);

impl Cage {
    /// Rules by which `writable` may be written and `hidden` not be read; `hidden` is
    /// canonical as far as it is there. What is not there, or may not be opened by us, is left
    /// out: nobody may do more with it.
    ///
    /// # Errors
    /// If the kernel cannot, or what is hidden would not be.
    pub fn new(writable: &[PathBuf], hidden: &[PathBuf]) -> Result<Self, CageError> {
        let read = AccessFs::from_read(LEAST);
        let mut rules = Rules(rules()?);
        rules.allow(Path::new("/"), AccessFs::ReadDir.into())?;
        for path in readable(hidden)? {
            rules.allow(&path, read)?;
        }
        for path in writable {
            // Its own workspace is in what is hidden; around it nothing may be.
            for hidden in hidden {
                is_outside(path, hidden)?;
            }
            rules.allow(path, AccessFs::from_all(LEAST))?;
        }
        for path in TEMPORARY.map(Path::new) {
            for hidden in hidden {
                is_outside(path, hidden)?;
            }
            rules.allow(path, AccessFs::from_all(LEAST))?;
        }
        for path in DEVICES.map(Path::new) {
            let write = AccessFs::WriteFile | AccessFs::Truncate;
            rules.allow(path, read | write)?;
        }
        let fd: Option<OwnedFd> = rules.0.into();
        fd.map(|fd| Self(Arc::new(fd)))
            .ok_or(CageError::Unsupported)
    }

    /// Puts the calling thread, and so a process that has no other, into it.
    /// Makes system calls and nothing else: for a child before its exec.
    ///
    /// # Errors
    /// If the system refuses; the process is then to go no further.
    pub fn enter(&self) -> io::Result<()> {
        nix::sys::prctl::set_no_new_privs()?;
        for capability in (0..CAPABILITIES).filter(|number| !KEPT.contains(number)) {
            if !drop_capability(capability)? {
                break;
            }
        }
        #[expect(unsafe_code, reason = "the library allocates between fork and exec")]
        // SAFETY: two numbers, one of them a descriptor that is open.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_landlock_restrict_self,
                libc::c_long::from(self.0.as_raw_fd()),
                0 as libc::c_long,
            )
        };
        Errno::result(answer)?;
        Ok(())
    }

    /// Has a program of our own run in it that may be led to run others. Since these
    /// would be taken for ours, and not for an agent's, they reach no socket of the file
    /// system: neither our own nor the service manager's.
    pub fn hold(&self, command: &mut Command) {
        let cage = self.clone();
        #[expect(unsafe_code, reason = "a sandbox is put on between fork and exec")]
        // SAFETY: both make system calls and nothing else.
        unsafe {
            command.pre_exec(move || {
                cage.enter()?;
                sockets::keep_off()
            });
        }
    }
}

/// Takes a capability from what root has after the next exec; whether there is one
/// of that number. Who may not take any away is not root, and gets none by an exec.
fn drop_capability(number: u32) -> io::Result<bool> {
    #[expect(unsafe_code, reason = "no library takes any number")]
    // SAFETY: two numbers.
    let answer = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number)) };
    match Errno::result(answer) {
        Ok(_) | Err(Errno::EPERM) => Ok(true),
        Err(Errno::EINVAL) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether this kernel can hold a tree in a sandbox.
#[must_use]
pub fn can_cage() -> bool {
    rules().is_ok()
}

/// What a path leads to, where it leads to anything.
fn is_outside(writable: &Path, hidden: &Path) -> Result<(), CageError> {
    let to = fs::canonicalize(writable).unwrap_or_else(|_| writable.to_owned());
    if hidden.starts_with(&to) {
        return Err(CageError::Exposed {
            hidden: hidden.to_owned(),
            writable: to,
        });
    }
    Ok(())
}

fn rules() -> Result<RulesetCreated, CageError> {
    let hard = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let handled = hard
        .handle_access(AccessFs::from_all(LEAST))
        .map_err(|_| CageError::Unsupported)?;
    handled
        .set_compatibility(CompatLevel::BestEffort)
        .scope(Scope::from_all(SIGNALS))
        .and_then(Ruleset::create)
        .map_err(|_| CageError::Unsupported)
}

struct Rules(RulesetCreated);

impl Rules {
    fn allow(&mut self, path: &Path, access: BitFlags<AccessFs>) -> Result<(), CageError> {
        let (Ok(meta), Ok(opened)) = (fs::metadata(path), PathFd::new(path)) else {
            return Ok(());
        };
        let access = match meta.is_dir() {
            true => access,
            false => access & AccessFs::from_file(LEAST),
        };
        let rule = PathBeneath::new(opened, access);
        (&mut self.0).add_rule(rule).map_err(CageError::rules)?;
        Ok(())
    }
}

/// The highest places that have nothing hidden in them.
fn readable(hidden: &[PathBuf]) -> Result<Vec<PathBuf>, CageError> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from("/")];
    while let Some(place) = open.pop() {
        if hidden.contains(&place) {
            continue;
        }
        let mut inside = hidden.iter().filter(|path| path.starts_with(&place));
        let Some(first) = inside.next() else {
            found.push(place);
            if found.len() > MOST {
                return Err(CageError::TooMuch);
            }
            continue;
        };
        match fs::read_dir(&place) {
            Ok(entries) => {
                for entry in entries {
                    let system = |source| CageError::System {
                        what: format!("cannot look into {}", place.display()),
                        source,
                    };
                    let entry = entry.map_err(system)?;
                    // What a link leads to is allowed where it is, or is hidden.
                    let kind = entry.file_type().map_err(system)?;
                    if !kind.is_symlink() && !kind.is_socket() {
                        open.push(entry.path());
                    }
                }
            }
            // What we may not list, we may pass: that is all that is needed.
            Err(_) => {
                let below = [first].into_iter().chain(inside);
                let next = below.filter_map(|path| path.strip_prefix(&place).ok());
                let mut next: Vec<_> = next
                    .filter_map(|path| Some(place.join(path.components().next()?)))
                    .collect();
                next.dedup();
                open.extend(next);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_beside_what_is_hidden_is_readable() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        for made in ["a/b/hidden/deep", "a/b/beside", "a/other", "secret"] {
            fs::create_dir_all(dir.join(made)).unwrap();
        }
        fs::write(dir.join("a/b/file"), "").unwrap();
        fs::write(dir.join("a/key"), "").unwrap();
        std::os::unix::fs::symlink("b/hidden", dir.join("a/link")).unwrap();
        let hidden = ["a/b/hidden", "a/key"].map(|path| dir.join(path));
        let mut found = readable(&hidden).unwrap();
        found.retain(|path| path.starts_with(&dir));
        found.sort();
        let expected = ["a/b/beside", "a/b/file", "a/other", "secret"];
        assert_eq!(found, expected.map(|path| dir.join(path)));
        assert_eq!(readable(&[]).unwrap(), [Path::new("/")]);
    }

    #[test]
    fn what_is_hidden_cannot_be_within_what_is_writable() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        fs::create_dir_all(dir.join("home/state/work")).unwrap();
        std::os::unix::fs::symlink("home", dir.join("way")).unwrap();
        let hidden = dir.join("home/state");
        assert!(is_outside(&dir.join("home/state/work"), &hidden).is_ok());
        assert!(is_outside(&dir.join("other"), &hidden).is_ok());
        for exposes in ["home", "home/state", "way", ""] {
            let exposed = is_outside(&dir.join(exposes), &hidden);
            assert!(
                matches!(exposed, Err(CageError::Exposed { .. })),
                "{exposes}"
            );
        }
    }
}
