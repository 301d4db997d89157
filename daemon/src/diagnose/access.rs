//! Whether those who may talk to the daemon can come as far as its socket, and
//! nobody else.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use super::{Area, Finding, Severity};
use crate::config::Access;

/// Who besides the owner may write to a socket, and pass a directory.
const WRITE: u32 = 0o022;
const PASS: u32 = 0o011;

pub(super) fn access(access: &Access, socket: &Path) -> Vec<Finding> {
    let finding = |severity, what: String| Finding::new(Area::Access, severity, what);
    let shut = match shut(socket) {
        Ok(shut) => shut,
        Err(error) => {
            let what = format!("nobody can tell who can reach {}", socket.display());
            return vec![finding(Severity::Warning, what).because(error.to_string())];
        }
    };
    if access.is_closed() {
        return vec![match shut {
            Some(_) => finding(
                Severity::Good,
                "its own user and root may talk to agentd".to_owned(),
            ),
            None => finding(
                Severity::Note,
                format!("everybody can reach {}", socket.display()),
            )
            .because("agentd answers its own user and root only")
            .fix(format!("chmod 0600 {}", socket.display())),
        }];
    }
    let named = format!(
        "allow_users has {}, allow_groups {}",
        access.users.len(),
        access.groups.len()
    );
    vec![match shut {
        None => finding(
            Severity::Good,
            format!("others may talk to agentd: {named}"),
        ),
        Some(Shut::Dir { path, mode }) => finding(
            Severity::Warning,
            "others may talk to agentd and cannot reach its socket".to_owned(),
        )
        .because(format!("the mode of {path} is {mode:04o}"))
        .fix(format!(
            "chmod a+x {path}, or listen elsewhere (--socket, ListenStream=)"
        )),
        Some(Shut::Socket { mode }) => finding(
            Severity::Warning,
            "others may talk to agentd and cannot open its socket".to_owned(),
        )
        .because(format!("the mode of {} is {mode:04o}", socket.display()))
        .fix("systemctl edit agentd.socket, with SocketMode=0666 under [Socket]"),
    }]
}

/// What keeps everybody else from a socket.
enum Shut {
    Dir { path: String, mode: u32 },
    Socket { mode: u32 },
}

/// The first thing on the way to the socket that is its owner's only. What a group
/// may pass, somebody else may: who is in it is not asked.
fn shut(socket: &Path) -> io::Result<Option<Shut>> {
    let mut dirs: Vec<&Path> = socket.ancestors().skip(1).collect();
    dirs.reverse();
    for dir in dirs {
        let mode = fs::metadata(dir)?.mode() & 0o7777;
        if mode & PASS == 0 {
            let path = dir.display().to_string();
            return Ok(Some(Shut::Dir { path, mode }));
        }
    }
    let mode = fs::metadata(socket)?.mode() & 0o7777;
    Ok((mode & WRITE == 0).then_some(Shut::Socket { mode }))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _};

    use super::*;
    use crate::config::Role;

    #[test]
    fn it_says_what_keeps_others_from_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        let (run, socket) = (dir.path().join("run"), dir.path().join("run/s"));
        fs::create_dir(&run).unwrap();
        fs::write(&socket, "").unwrap();
        let open = Access {
            users: BTreeMap::from([(7, Role::Viewer)]),
            groups: BTreeMap::new(),
        };
        let closed = Access::default();
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        for (outer, inner, mode, who, severity, fix) in [
            (0o700, 0o700, 0o600, &closed, Severity::Good, ""),
            (0o755, 0o711, 0o600, &closed, Severity::Good, ""),
            (0o755, 0o711, 0o666, &closed, Severity::Note, "chmod 0600"),
            (0o755, 0o711, 0o666, &open, Severity::Good, ""),
            (0o755, 0o750, 0o660, &open, Severity::Good, ""),
            (0o755, 0o700, 0o666, &open, Severity::Warning, "/run, or"),
            (0o755, 0o711, 0o600, &open, Severity::Warning, "SocketMode="),
            (0o700, 0o711, 0o666, &open, Severity::Warning, "chmod a+x"),
        ] {
            set(dir.path(), outer);
            set(&run, inner);
            set(&socket, mode);
            let found = access(who, &socket);
            let case = format!("{outer:o} {inner:o} {mode:o}: {found:?}");
            assert_eq!((found.len(), found[0].severity), (1, severity), "{case}");
            assert!(found[0].fix.contains(fix), "{case}");
            assert_eq!(found[0].fix.is_empty(), fix.is_empty(), "{case}");
        }
        assert_eq!(
            access(&open, &dir.path().join("missing"))[0].severity,
            Severity::Warning
        );
    }
}
