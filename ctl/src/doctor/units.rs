//! The units of a service manager: whether one is installed, whether it is the
//! one that runs the daemon, and whether it goes on when its user logs out.
//!
//! Only files are looked at, as `systemctl` would: it may not be there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Finding, Severity, Surroundings};

const AREA: &str = "units";
const SERVICE: &str = "agentd.service";
const SOCKET: &str = "agentd.socket";

/// Where units of all users may be installed, below the root.
const USER_UNITS: [&str; 4] = [
    "etc/systemd/user",
    "usr/local/lib/systemd/user",
    "usr/lib/systemd/user",
    "lib/systemd/user",
];
/// The same of the system's.
const SYSTEM_UNITS: [&str; 4] = [
    "etc/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];

/// Whether this user has a unit of the daemon.
pub(crate) fn own_unit(around: &Surroundings) -> bool {
    let own = around.config_home.iter();
    let mut own = own.map(|home| home.join("systemd/user").join(SERVICE));
    own.any(|file| file.exists())
}

/// Whether a package has installed a unit for users, and systemd runs.
pub(crate) fn packaged_unit(around: &Surroundings) -> bool {
    let mut files = USER_UNITS
        .map(|dir| around.root.join(dir).join(SERVICE))
        .into_iter();
    around.root.join("run/systemd/system").is_dir() && files.any(|file| file.exists())
}

/// What starts the daemon of the system, where it is a service.
pub(crate) fn system_start_command(around: &Surroundings) -> Option<&'static str> {
    let unit = of_system(around)?;
    unit.enabled.then_some("sudo systemctl start agentd")
}

/// What ends a daemon, the process `pid`, that its unit would start again;
/// `None` if it runs in none, or nobody can tell.
pub(crate) fn stop_command(root: &Path, pid: u32) -> Option<&'static str> {
    Some(match manager_of(root, pid)? {
        Manager::User => "systemctl --user stop agentd",
        Manager::System => "sudo systemctl stop agentd",
    })
}

/// Whose unit a process runs in; `None` if in none, or nobody can tell.
fn manager_of(root: &Path, pid: u32) -> Option<Manager> {
    let groups = groups(root, pid)?;
    let group = group_in_unit(&groups)?;
    // A user's manager is a unit of the system's: user@1000.service.
    let of_user = group.split('/').any(|part| part.starts_with("user@"));
    Some(match of_user {
        true => Manager::User,
        false => Manager::System,
    })
}

/// One unit, and whether it is started by itself.
#[derive(Debug, PartialEq, Eq)]
struct Unit {
    file: PathBuf,
    enabled: bool,
}

/// Looks for a unit, and whether the daemon, if `pid` is one, runs in it.
pub(crate) fn units(around: &Surroundings, pid: Option<u32>) -> Vec<Finding> {
    let runs_in_unit = pid.map(|pid| in_unit(&around.root, pid));
    let mut found = Vec::new();
    let enabled = |unit: Option<Unit>| unit.is_some_and(|unit| unit.enabled);
    if enabled(of_users(around)) && enabled(of_system(around)) {
        let what = "agentd is enabled as a service of the system and of this user";
        found.push(
            finding(Severity::Warning, what)
                .because("two daemons run, and each knows only its own tasks")
                .fix("systemctl --user disable --now agentd"),
        );
    }
    let Some((unit, manager)) = installed_unit(around, pid) else {
        let what = "no unit is installed: agentctl run starts the daemon";
        return vec![finding(Severity::Ok, what)];
    };
    let systemctl = match manager {
        Manager::User => "systemctl --user",
        Manager::System => "sudo systemctl",
    };
    let file = unit.file.display();
    if !unit.enabled {
        found.push(
            finding(Severity::Warning, &format!("{file} is not enabled"))
                .because("after a restart of the machine nothing goes on")
                .fix(format!("{systemctl} enable --now agentd")),
        );
    }
    if runs_in_unit == Some(false) && unit.enabled {
        found.push(
            finding(Severity::Warning, "the daemon was not started by its unit")
                .because(format!(
                    "{file} is enabled; one was started by hand beside it"
                ))
                .fix(format!("agentctl shutdown && {systemctl} start agentd")),
        );
    }
    if manager == Manager::User {
        found.extend(of_user(around));
    }
    if found.is_empty() {
        found.push(finding(Severity::Ok, &format!("{file} is enabled")));
    }
    found
}

/// What the service manager of a user needs.
fn of_user(around: &Surroundings) -> Vec<Finding> {
    let mut found = Vec::new();
    if !around.has_runtime_dir {
        found.push(
            finding(Severity::Warning, "XDG_RUNTIME_DIR is not set")
                .because("systemctl --user does not find what is in it")
                .fix("export XDG_RUNTIME_DIR=/run/user/$(id -u)"),
        );
    }
    if let (Some(user), Some(false)) = (&around.user, lingers(around)) {
        found.push(
            finding(
                Severity::Note,
                "the daemon and its agents end when their user logs out",
            )
            .because("the service manager of a user ends with the last session")
            .fix(format!("loginctl enable-linger {user}")),
        );
    }
    found
}

/// Whether the user's manager goes on without a session; `None`: nobody knows
/// whose it is.
pub(crate) fn lingers(around: &Surroundings) -> Option<bool> {
    let user = around.user.as_ref()?;
    let file = around.root.join("var/lib/systemd/linger").join(user);
    Some(file.exists())
}

fn finding(severity: Severity, what: &str) -> Finding {
    Finding::new(AREA, severity, what)
}

/// Whose service manager runs the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    User,
    System,
}

/// The one that the daemon `pid` runs in, or else the one that is enabled: the
/// package installs both. Of two that are, or are not, the user's own before the
/// system's, as with sockets.
fn installed_unit(around: &Surroundings, pid: Option<u32>) -> Option<(Unit, Manager)> {
    let user = of_users(around).map(|unit| (unit, Manager::User));
    let system = of_system(around).map(|unit| (unit, Manager::System));
    let runs_in = pid.and_then(|pid| manager_of(&around.root, pid));
    let by_rank = |(unit, manager): &(Unit, Manager)| {
        (
            runs_in == Some(*manager),
            unit.enabled,
            *manager == Manager::User,
        )
    };
    user.into_iter().chain(system).max_by_key(by_rank)
}

fn of_users(around: &Surroundings) -> Option<Unit> {
    find(&user_unit_dirs(around))
}

fn of_system(around: &Surroundings) -> Option<Unit> {
    find(&SYSTEM_UNITS.map(|dir| around.root.join(dir)))
}

/// Where units of this user may be, those that count first in front.
pub(crate) fn user_unit_dirs(around: &Surroundings) -> Vec<PathBuf> {
    let own = around.config_home.iter();
    let own = own.map(|home| home.join("systemd/user"));
    own.chain(USER_UNITS.map(|dir| around.root.join(dir)))
        .collect()
}

fn find(dirs: &[PathBuf]) -> Option<Unit> {
    let mut files = dirs.iter().map(|dir| dir.join(SERVICE));
    let file = files.find(|file| file.exists())?;
    let enabled = dirs.iter().any(|dir| is_wanted(dir));
    Some(Unit { file, enabled })
}

/// Whether some target wants the service or its socket: `systemctl enable` makes
/// a link in `<target>.wants`.
fn is_wanted(dir: &Path) -> bool {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let wants = entries.map(|entry| entry.path()).filter(|path| {
        let end = path.extension();
        end.is_some_and(|end| end == "wants" || end == "requires")
    });
    let mut names = wants.flat_map(|dir| [dir.join(SERVICE), dir.join(SOCKET)]);
    names.any(|link| fs::symlink_metadata(link).is_ok())
}

/// Whether a process is in the control group of the unit; one of which nobody
/// can tell is not said to be elsewhere.
fn in_unit(root: &Path, pid: u32) -> bool {
    groups(root, pid).is_none_or(|groups| group_in_unit(&groups).is_some())
}

/// The control groups of a process, as the kernel lists them.
fn groups(root: &Path, pid: u32) -> Option<String> {
    fs::read_to_string(root.join(format!("proc/{pid}/cgroup"))).ok()
}

/// The one of them that is the unit's, or below it.
fn group_in_unit(groups: &str) -> Option<&str> {
    let mut groups = groups.lines().filter_map(|line| line.rsplit(':').next());
    groups.find(|group| group.split('/').any(|part| part == SERVICE))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with a unit of this user, enabled, whose user lingers.
    fn installed(root: &Path) -> Surroundings {
        let home = root.join("home/ann/.config");
        for dir in [
            "home/ann/.config/systemd/user/default.target.wants",
            "var/lib/systemd/linger",
            "proc/7",
        ] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        let units = home.join("systemd/user");
        for file in [
            units.join(SERVICE),
            units.join("default.target.wants").join(SERVICE),
            root.join("var/lib/systemd/linger/ann"),
        ] {
            fs::write(file, "").unwrap();
        }
        let group = "0::/user.slice/user@1.service/app.slice/agentd.service\n";
        fs::write(root.join("proc/7/cgroup"), group).unwrap();
        Surroundings {
            config_home: Some(home),
            has_runtime_dir: true,
            user: Some("ann".to_owned()),
            root: root.to_owned(),
            ..Surroundings::default()
        }
    }

    fn fixes(found: &[Finding]) -> Vec<(Severity, &str)> {
        let told = found.iter().map(|f| (f.severity, f.fix.as_str()));
        told.collect()
    }

    #[test]
    fn without_a_unit_agentctl_starts_the_daemon() {
        let found = units(&Surroundings::default(), Some(1));
        assert_eq!(fixes(&found), [(Severity::Ok, "")]);
    }

    #[test]
    fn a_unit_is_installed_enabled_and_runs_the_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let around = installed(dir.path());
        assert_eq!(fixes(&units(&around, Some(7))), [(Severity::Ok, "")]);
        let group = dir.path().join("proc/7/cgroup");
        let stop = stop_command(dir.path(), 7);
        assert_eq!(stop, Some("systemctl --user stop agentd"));
        fs::write(&group, "0::/agentd.slice/agentd.service/daemon\n").unwrap();
        let stop = stop_command(dir.path(), 7);
        assert_eq!(stop, Some("sudo systemctl stop agentd"));
        fs::write(group, "0::/user.slice/session-1.scope\n").unwrap();
        assert_eq!(
            fixes(&units(&around, Some(7))),
            [(
                Severity::Warning,
                "agentctl shutdown && systemctl --user start agentd"
            )]
        );
        assert_eq!(stop_command(dir.path(), 7), None);
        // Nobody can tell of a process that is gone.
        assert_eq!(stop_command(dir.path(), 8), None);
        assert_eq!(fixes(&units(&around, Some(8))), [(Severity::Ok, "")]);
        let wants = "home/ann/.config/systemd/user/default.target.wants";
        fs::remove_dir_all(dir.path().join(wants)).unwrap();
        assert_eq!(
            fixes(&units(&around, None)),
            [(Severity::Warning, "systemctl --user enable --now agentd")]
        );
        // Its socket starts it as well.
        let sockets = "home/ann/.config/systemd/user/sockets.target.wants";
        fs::create_dir_all(dir.path().join(sockets)).unwrap();
        fs::write(dir.path().join(sockets).join(SOCKET), "").unwrap();
        assert_eq!(fixes(&units(&around, None)), [(Severity::Ok, "")]);
    }

    #[test]
    fn of_both_units_of_the_package_the_one_in_use_counts() {
        let dir = tempfile::tempdir().unwrap();
        let lib = dir.path().join("usr/lib/systemd");
        let wants = dir
            .path()
            .join("etc/systemd/system/multi-user.target.wants");
        for dir in [&lib.join("user"), &lib.join("system"), &wants] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::create_dir_all(dir.path().join("proc/7")).unwrap();
        fs::write(lib.join("user").join(SERVICE), "").unwrap();
        fs::write(lib.join("system").join(SERVICE), "").unwrap();
        let around = Surroundings {
            user: Some("agentd".to_owned()),
            root: dir.path().to_owned(),
            ..Surroundings::default()
        };
        let group = dir.path().join("proc/7/cgroup");
        let of_system = "0::/agentd.slice/agentd.service\n";
        fs::write(&group, of_system).unwrap();
        // It runs and is not enabled.
        let enable = "sudo systemctl enable --now agentd";
        assert_eq!(
            fixes(&units(&around, Some(7))),
            [(Severity::Warning, enable)]
        );
        // Enabled, whether it runs or not; what only a user's manager needs is
        // not asked for.
        fs::write(wants.join(SERVICE), "").unwrap();
        assert_eq!(fixes(&units(&around, Some(7))), [(Severity::Ok, "")]);
        assert_eq!(fixes(&units(&around, None)), [(Severity::Ok, "")]);
        assert_eq!(
            system_start_command(&around),
            Some("sudo systemctl start agentd")
        );
        // A daemon of the user's beside it.
        let of_user = "0::/user.slice/user@1.service/agentd.slice/agentd.service\n";
        fs::write(&group, of_user).unwrap();
        let found = units(&around, Some(7));
        let enable = "systemctl --user enable --now agentd";
        assert_eq!(fixes(&found)[0], (Severity::Warning, enable));
    }

    #[test]
    fn a_user_who_does_not_linger_or_has_two_services_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut around = installed(dir.path());
        fs::remove_file(dir.path().join("var/lib/systemd/linger/ann")).unwrap();
        around.has_runtime_dir = false;
        let wants = dir
            .path()
            .join("etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants).unwrap();
        fs::write(wants.join(SERVICE), "").unwrap();
        let system = dir.path().join("lib/systemd/system");
        fs::create_dir_all(&system).unwrap();
        fs::write(system.join(SERVICE), "").unwrap();
        assert_eq!(
            fixes(&units(&around, None)),
            [
                (Severity::Warning, "systemctl --user disable --now agentd"),
                (
                    Severity::Warning,
                    "export XDG_RUNTIME_DIR=/run/user/$(id -u)"
                ),
                (Severity::Note, "loginctl enable-linger ann"),
            ]
        );
    }
}
