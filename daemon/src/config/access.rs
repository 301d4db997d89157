//! Who besides the daemon's own user may talk to it.

use std::{collections::BTreeMap, fs};

use nix::unistd::{Group, User};

use super::nearest;
use crate::task::limits::MAX_LABEL;

/// The number by which the kernel names users and groups that it has no number
/// for here, as those of another user namespace.
const NOBODY: u32 = 65534;
/// No user and no group has it: it means "leave as it is".
const NONE: u32 = u32::MAX;

/// What somebody may ask of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look at everything, change nothing.
    Viewer,
    /// Everything that the daemon's own user may.
    Operator,
}

impl Role {
    /// Every role, the weaker first.
    pub const ALL: [Self; 2] = [Self::Viewer, Self::Operator];

    /// The word in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

/// Who may talk to the daemon besides its own user and root, by number: names are
/// looked up when the configuration is read, so whoever is called so later on gets
/// nothing before the next reload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// Users.
    pub users: BTreeMap<u32, Role>,
    /// Groups.
    pub groups: BTreeMap<u32, Role>,
}

impl Access {
    /// Whether nobody else may.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    /// The role of a user who is in these groups. What is said of the user counts
    /// more than what is said of a group; of several groups the strongest counts.
    #[must_use]
    pub fn role(&self, uid: u32, groups: &[u32]) -> Option<Role> {
        let named = self.users.get(&uid).copied();
        named.or_else(|| {
            let roles = groups.iter().filter_map(|gid| self.groups.get(gid));
            roles.copied().max()
        })
    }
}

/// Users or groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Group,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
        }
    }

    /// Where names are written down on most machines.
    fn file(self) -> &'static str {
        match self {
            Self::User => "/etc/passwd",
            Self::Group => "/etc/group",
        }
    }

    /// The number that the machine has for a name.
    fn find(self, name: &str) -> nix::Result<Option<u32>> {
        match self {
            Self::User => Ok(User::from_name(name)?.map(|user| user.uid.as_raw())),
            Self::Group => Ok(Group::from_name(name)?.map(|group| group.gid.as_raw())),
        }
    }
}

/// The number of a user or group that is given by number or, if names may be
/// looked up, by name; `None` of a name that was not.
pub(super) fn number(kind: Kind, given: &str, look: bool) -> Result<Option<u32>, String> {
    let word = kind.word();
    let number = if given.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = given.parse();
        number.map_err(|_| format!("no {word} has so large a number"))?
    } else if given.len() > MAX_LABEL {
        return Err(format!("no {word} has so long a name"));
    } else if !look {
        return Ok(None);
    } else {
        match kind.find(given) {
            Ok(Some(number)) => number,
            Ok(None) => return Err(unknown(kind, given)),
            Err(error) => {
                return Err(format!(
                    "nobody can tell whether there is such a {word}: {error}"
                ));
            }
        }
    };
    match (kind, number) {
        (Kind::User, 0) => Err("root may do everything already".to_owned()),
        (_, NOBODY) => Err(format!(
            "it stands for every {word} whom the kernel cannot name"
        )),
        (_, NONE) => Err(format!("no {word} has so large a number")),
        (Kind::User | Kind::Group, number) => Ok(Some(number)),
    }
}

fn unknown(kind: Kind, name: &str) -> String {
    let known = fs::read_to_string(kind.file()).unwrap_or_default();
    let names = known.lines().filter_map(|line| line.split(':').next());
    let hint = nearest(name, names).map(|name| format!("; did you mean {name}?"));
    format!(
        "this machine has no such {}{}",
        kind.word(),
        hint.unwrap_or_default()
    )
}

/// The role of this word.
pub(super) fn role(text: &str) -> Result<Role, String> {
    let words = Role::ALL.map(Role::as_str);
    let found = Role::ALL.into_iter().find(|role| role.as_str() == text);
    found.ok_or_else(|| format!("no role {text:?}{}", super::value::suggest(text, &words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_user_counts_more_than_a_group() {
        let access = Access {
            users: BTreeMap::from([(1, Role::Viewer)]),
            groups: BTreeMap::from([(10, Role::Operator), (11, Role::Viewer)]),
        };
        for (uid, groups, role) in [
            (1, &[10][..], Some(Role::Viewer)),
            (2, &[10], Some(Role::Operator)),
            (2, &[11, 10], Some(Role::Operator)),
            (2, &[12, 11], Some(Role::Viewer)),
            (2, &[12], None),
            // The number of a group is no user's.
            (10, &[], None),
        ] {
            assert_eq!(access.role(uid, groups), role, "{uid} {groups:?}");
        }
        assert!(!access.is_closed() && Access::default().is_closed());
    }

    #[test]
    fn names_are_looked_up_and_numbers_are_not() {
        assert_eq!(number(Kind::User, "12345", false), Ok(Some(12345)));
        // Its numbers are not the same on all machines.
        let user = User::from_name("daemon").unwrap().unwrap().uid.as_raw();
        let group = Group::from_name("daemon").unwrap().unwrap().gid.as_raw();
        assert_eq!(number(Kind::User, "daemon", true), Ok(Some(user)));
        assert_eq!(number(Kind::Group, "daemon", true), Ok(Some(group)));
        assert_eq!(number(Kind::User, "daemon", false), Ok(None));
        for (kind, given, says) in [
            (Kind::User, "root", "root may do everything"),
            (Kind::User, "0", "root may do everything"),
            (Kind::User, "daemom", "no such user; did you mean daemon?"),
            (Kind::Group, "daemom", "no such group; did you mean daemon?"),
            (Kind::Group, "65534", "whom the kernel cannot name"),
            (Kind::User, "4294967295", "so large a number"),
            (Kind::User, "99999999999", "so large a number"),
        ] {
            let wrong = number(kind, given, true).unwrap_err();
            assert!(wrong.contains(says), "{given}: {wrong}");
        }
    }
}
