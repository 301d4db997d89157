//! The files of the service: what is to be in them, whose they are, and how they
//! come and go. Each is replaced as a whole.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{AGENTS, DROP_IN, SERVICE, SLICE, SOCKET};
use crate::doctor::{Surroundings, units::user_unit_dirs};

/// The units as the package has them.
const UNITS: [(&str, &str); 4] = [
    (
        SERVICE,
        include_str!("../../../packaging/systemd/user/agentd.service"),
    ),
    (
        SOCKET,
        include_str!("../../../packaging/systemd/user/agentd.socket"),
    ),
    (
        AGENTS,
        include_str!("../../../packaging/systemd/user/agentd-agents.service"),
    ),
    (
        SLICE,
        include_str!("../../../packaging/systemd/user/agentd.slice"),
    ),
];

/// The line of the service that names its program.
const PROGRAM: &str = "ExecStart=";
/// Where the package has both programs, as its service names them.
const AGENTD: &str = "=/usr/bin/agentd\n";
const AGENTCTL: &str = "=/usr/bin/agentctl ";

/// What is ours begins with this; the digest of what follows is in the next line.
const MARK: &str = "\
# Written by agentctl service install, which renews it as long as nobody edits it.
# What is to be otherwise goes into a drop-in: systemctl --user edit agentd
";
const DIGEST: &str = "# digest: ";

/// More than any file of ours has, bytes.
const LONGEST: u64 = 256 << 10;

/// A file, and what is to be in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) path: PathBuf,
    text: String,
}

/// What is where a file of ours belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing.
    Missing,
    /// What is to be there.
    Current,
    /// Ours, of another time or for another program.
    Older,
    /// Ours, and changed by somebody.
    Edited,
    /// Somebody else's.
    Foreign,
}

impl Wanted {
    /// A file with our mark in front.
    fn new(path: PathBuf, text: &str) -> Self {
        let text = format!("{MARK}{DIGEST}{}\n{text}", digest(text));
        Self { path, text }
    }

    /// What is there now.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn look(&self) -> io::Result<Found> {
        Ok(match read(&self.path)? {
            Content::Nothing => Found::Missing,
            Content::Text(text) if text == self.text => Found::Current,
            Content::Text(text) => whose(&text),
            Content::Else => Found::Foreign,
        })
    }

    /// Puts it there, at once and as a whole.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn write(&self) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(dir)?;
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(self.text.as_bytes())?;
        let open = Permissions::from_mode(0o644);
        file.as_file().set_permissions(open)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        Ok(())
    }

    /// Takes it away; its directory, too, if that is a drop-in's and empty now.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub(crate) fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path)?;
        let dir = self.path.parent();
        if let Some(dir) = dir.filter(|dir| dir.extension().is_some_and(|end| end == "d")) {
            // One in which something is left stays.
            drop(fs::remove_dir(dir));
        }
        Ok(())
    }
}

/// Where the files belong.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// `~/.config/systemd/user`.
    dir: PathBuf,
    /// The file of a package, or of an administrator, that starts the same program.
    pub(crate) packaged: Option<PathBuf>,
}

impl Place {
    /// For this program. `None`: nobody knows where this user's home is.
    pub(crate) fn of(around: &Surroundings, program: &Path) -> Option<Self> {
        let dir = around.config_home.as_ref()?.join("systemd/user");
        let starts = exec_start(program);
        let packaged = user_unit_dirs(around)
            .into_iter()
            .filter(|other| *other != dir)
            .map(|dir| dir.join(SERVICE))
            .find(|file| file.exists())
            .filter(|file| starts.is_some() && starts_of(file) == starts);
        Some(Self { dir, packaged })
    }

    /// The units; to be written where no package has them.
    ///
    /// # Errors
    /// The program's name, if no unit can hold it.
    pub(crate) fn units(&self, program: &Path) -> Result<Vec<Wanted>, PathBuf> {
        let starts = exec_start(program).ok_or_else(|| program.to_owned())?;
        // Both are installed together.
        let ctl = exec_start(&program.with_file_name("agentctl"));
        let ctl = ctl.ok_or_else(|| program.to_owned())?;
        let (starts, ctl) = (format!("={starts}\n"), format!("={ctl} "));
        let units = UNITS.map(|(name, text)| {
            let text = text.replace(AGENTD, &starts).replace(AGENTCTL, &ctl);
            Wanted::new(self.dir.join(name), &text)
        });
        Ok(units.into())
    }

    /// What is taken over from the shell.
    pub(crate) fn drop_in(&self, text: &str) -> Wanted {
        Wanted::new(self.dir.join(DROP_IN), text)
    }

    /// The unit file that this user has.
    pub(crate) fn service(&self) -> PathBuf {
        self.dir.join(SERVICE)
    }
}

/// The program that a unit file starts.
pub(crate) fn starts_of(file: &Path) -> Option<String> {
    let Ok(Content::Text(text)) = read(file) else {
        return None;
    };
    let mut lines = text.lines().rev();
    let starts = lines.find_map(|line| line.strip_prefix(PROGRAM))?;
    Some(starts.trim().to_owned())
}

/// The text of a file, if it is one of ours.
pub(crate) fn text_of(file: &Path) -> Option<String> {
    match read(file) {
        Ok(Content::Text(text)) => Some(text),
        Ok(Content::Nothing | Content::Else) | Err(_) => None,
    }
}

/// A program as `ExecStart=` takes it (systemd.service(5)). `None`: it has letters
/// that mean something there.
pub(crate) fn exec_start(program: &Path) -> Option<String> {
    let text = program.to_str()?;
    let special = |c: char| c.is_control() || "\"'\\$;".contains(c);
    if !text.starts_with('/') || text.contains(special) {
        return None;
    }
    // It would begin a specifier.
    let text = text.replace('%', "%%");
    Some(match text.contains(char::is_whitespace) {
        true => format!("\"{text}\""),
        false => text,
    })
}

enum Content {
    Nothing,
    Text(String),
    /// A link, a directory, or what no unit is.
    Else,
}

fn read(path: &Path) -> io::Result<Content> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::Nothing),
        Err(error) => return Err(error),
    };
    if !meta.is_file() || meta.len() > LONGEST {
        return Ok(Content::Else);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8(bytes).map_or(Content::Else, Content::Text))
}

fn whose(text: &str) -> Found {
    let rest = text.strip_prefix(MARK);
    let marked = rest.and_then(|rest| rest.strip_prefix(DIGEST)?.split_once('\n'));
    match marked {
        None if rest.is_some() => Found::Edited,
        None => Found::Foreign,
        Some((is, rest)) if is == digest(rest) => Found::Older,
        Some(_) => Found::Edited,
    }
}

fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn place(root: &Path) -> Surroundings {
        Surroundings {
            config_home: Some(root.join("home/.config")),
            root: root.to_owned(),
            ..Surroundings::default()
        }
    }

    #[test]
    fn the_units_are_the_packages_with_another_program() {
        let (_, service) = UNITS[0];
        assert_eq!(service.matches(AGENTD).count(), 1);
        assert_eq!(service.matches(AGENTCTL).count(), 1);
        let starts = service.lines().filter(|line| line.starts_with(PROGRAM));
        assert_eq!(starts.count(), 1);
        let dir = tempfile::tempdir().unwrap();
        let program = Path::new("/home/ann/a b/100%/agentd");
        let place = Place::of(&place(dir.path()), program).unwrap();
        let units = place.units(program).unwrap();
        assert_eq!(units.len(), UNITS.len());
        for line in [
            "\nExecStart=\"/home/ann/a b/100%%/agentd\"\n",
            "\nExecReload=\"/home/ann/a b/100%%/agentctl\" reload\n",
        ] {
            assert!(units[0].text.contains(line), "{}", units[0].text);
        }
        assert!(!units[0].text.contains("/usr/bin/agent"));
        for (unit, (_, text)) in units.iter().zip(UNITS).skip(1) {
            assert!(unit.text.ends_with(text));
        }
        for bad in ["agentd", "/a;b/agentd", "/a\nb", "/$HOME/agentd", "/a'b"] {
            assert_eq!(place.units(Path::new(bad)), Err(PathBuf::from(bad)));
        }
    }

    #[test]
    fn every_unit_of_the_package_is_written() {
        let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd/user");
        let there = fs::read_dir(packaging).unwrap();
        let mut there: Vec<_> = there.map(|file| file.unwrap().file_name()).collect();
        let mut ours = UNITS.map(|(name, _)| name);
        there.sort();
        ours.sort_unstable();
        assert_eq!(there, ours);
    }

    #[test]
    fn what_somebody_has_written_or_changed_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir
            .path()
            .join("systemd/user/agentd.service.d/10-shell.conf");
        let new = Wanted::new(path.clone(), "[Service]\nEnvironment=\"PATH=/new\"\n");
        let old = Wanted::new(path.clone(), "[Service]\nEnvironment=\"PATH=/old\"\n");
        assert_eq!(new.look().unwrap(), Found::Missing);
        old.write().unwrap();
        assert_eq!(new.look().unwrap(), Found::Older);
        new.write().unwrap();
        assert_eq!(new.look().unwrap(), Found::Current);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        let entries = fs::read_dir(path.parent().unwrap()).unwrap();
        assert_eq!(entries.count(), 1, "nothing is left of writing it");

        for (text, found) in [
            (format!("{}# mine\n", new.text), Found::Edited),
            (new.text.replace(DIGEST, "# "), Found::Edited),
            ("[Service]\n".to_owned(), Found::Foreign),
            (String::new(), Found::Foreign),
        ] {
            fs::write(&path, &text).unwrap();
            assert_eq!(new.look().unwrap(), found, "{text}");
        }
        fs::remove_file(&path).unwrap();
        // That is how a unit is masked.
        symlink("/dev/null", &path).unwrap();
        assert_eq!(new.look().unwrap(), Found::Foreign);

        // A directory goes with the last thing in it, and not before.
        let other = path.with_file_name("override.conf");
        for left in [true, false] {
            fs::remove_file(&path).ok();
            new.write().unwrap();
            match left {
                true => fs::write(&other, "").unwrap(),
                false => fs::remove_file(&other).unwrap(),
            }
            new.remove().unwrap();
            assert_eq!(path.parent().unwrap().exists(), left);
        }
        assert!(dir.path().join("systemd/user").exists());
    }

    #[test]
    fn a_package_that_starts_the_same_program_is_enough() {
        let dir = tempfile::tempdir().unwrap();
        let around = place(dir.path());
        let units = dir.path().join("usr/lib/systemd/user");
        fs::create_dir_all(&units).unwrap();
        let file = units.join(SERVICE);
        fs::write(&file, UNITS[0].1).unwrap();
        let of = |program: &str| Place::of(&around, Path::new(program)).unwrap().packaged;
        assert_eq!(of("/usr/bin/agentd"), Some(file));
        assert_eq!(of("/home/ann/.cargo/bin/agentd"), None);
    }
}
