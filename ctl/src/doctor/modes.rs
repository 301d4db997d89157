//! Who may use the daemon's files: nobody but its user.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{Finding, Severity, mend::Mend};

const AREA: &str = "permissions";

/// The daemon's files; what is not known or not there is passed over.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) state: Option<PathBuf>,
    pub(crate) socket: Option<PathBuf>,
    pub(crate) config: Option<PathBuf>,
    /// Whose they are to be.
    pub(crate) uid: u32,
}

/// Bits that others must not have: all, or, of a file that is no secret and is
/// only not to be changed, those to write.
const PRIVATE: u32 = 0o077;
const NOT_WRITABLE: u32 = 0o022;

/// Looks at owners and modes.
pub(crate) fn modes(places: &Places) -> Vec<Finding> {
    let mut looks: Vec<(PathBuf, u32)> = Vec::new();
    if let Some(state) = &places.state {
        looks.push((state.clone(), PRIVATE));
        let inner = ["attempts", "transcripts", "backups", "agentd.redb"];
        looks.extend(inner.map(|name| (state.join(name), PRIVATE)));
    }
    if let Some(socket) = &places.socket {
        // The socket's own mode is the daemon's to look at: it knows whether
        // somebody else may talk to it.
        if let Some(dir) = socket.parent() {
            looks.push((dir.to_owned(), NOT_WRITABLE));
        }
    }
    if let Some(config) = &places.config {
        looks.push((config.clone(), NOT_WRITABLE));
    }
    let mut found: Vec<_> = looks
        .iter()
        .flat_map(|(path, bits)| look(path, *bits, places.uid))
        .collect();
    if found.is_empty() {
        let what = "nobody else may use the daemon's files";
        found.push(Finding::new(AREA, Severity::Ok, what));
    }
    found
}

fn look(path: &Path, bits: u32, uid: u32) -> Vec<Finding> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let what = format!("{} cannot be looked at", path.display());
            return vec![Finding::new(AREA, Severity::Warning, what).because(error.to_string())];
        }
    };
    let mut found = Vec::new();
    // Root may own what it gives to others, as /etc/agentd/config.toml.
    if meta.uid() != uid && (bits == PRIVATE || meta.uid() != 0) {
        let what = format!("{} belongs to uid {}", path.display(), meta.uid());
        let chown = format!("sudo chown {uid} {}", path.display());
        let why = format!("the daemon's user is uid {uid}");
        found.push(
            Finding::new(AREA, Severity::Error, what)
                .because(why)
                .fix(chown),
        );
        return found;
    }
    let mode = meta.mode() & 0o7777;
    // In a directory with the sticky bit nobody can replace what is ours.
    if mode & bits == 0 || meta.is_dir() && bits == NOT_WRITABLE && mode & 0o1000 != 0 {
        return found;
    }
    let what = format!("the mode of {} is {mode:04o}", path.display());
    let (severity, why) = match bits {
        PRIVATE => (Severity::Error, "others can use what is in it"),
        _ => (Severity::Warning, "others can change it"),
    };
    let mend = Mend::Close {
        path: path.to_owned(),
        mode: mode & !bits,
    };
    found.push(Finding {
        fix: mend.command(),
        mend: Some(mend),
        ..Finding::new(AREA, severity, what).because(why)
    });
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_others_may_use_is_told_with_what_closes_it() {
        let dir = tempfile::tempdir().unwrap();
        let (state, config) = (dir.path().join("state"), dir.path().join("config.toml"));
        fs::create_dir_all(state.join("attempts")).unwrap();
        fs::write(&config, "").unwrap();
        fs::write(state.join("agentd.redb"), "").unwrap();
        for (path, mode) in [("", 0o700), ("attempts", 0o700), ("agentd.redb", 0o600)] {
            set(&state.join(path), mode);
        }
        set(&config, 0o644);
        let places = Places {
            state: Some(state.clone()),
            socket: Some(dir.path().join("missing/agentd.sock")),
            config: Some(config.clone()),
            uid: nix::unistd::geteuid().as_raw(),
        };
        let found = modes(&places);
        assert!(
            found.len() == 1 && found[0].severity == Severity::Ok,
            "{found:#?}"
        );

        set(&state, 0o755);
        set(&state.join("agentd.redb"), 0o640);
        set(&config, 0o664);
        let found = modes(&places);
        let told: Vec<_> = found.iter().map(|f| (f.severity, f.fix.clone())).collect();
        let chmod = |mode: &str, path: &Path| format!("chmod {mode} {}", path.display());
        assert_eq!(
            told,
            [
                (Severity::Error, chmod("0700", &state)),
                (Severity::Error, chmod("0600", &state.join("agentd.redb"))),
                (Severity::Warning, chmod("0644", &config)),
            ]
        );
        for finding in found {
            finding.mend.unwrap().apply().unwrap();
        }
        assert!(!modes(&places)[0].severity.is_wrong());

        let stranger = Places {
            uid: places.uid + 1,
            ..places
        };
        let found = modes(&stranger);
        assert!(found[0].fix.starts_with("sudo chown"), "{found:#?}");
        assert!(found.iter().all(|finding| finding.mend.is_none()));
    }
}
