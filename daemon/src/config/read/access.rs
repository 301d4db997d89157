//! Who may talk to the daemon.

use std::collections::BTreeMap;

use super::{Access, Files, Reader, Role, Section};
use crate::config::access;

impl Reader {
    pub(super) fn access(&mut self, section: &Section<'_>, files: Files) -> Access {
        Access {
            users: self.allowed(section, "allow_users", access::Kind::User, files),
            groups: self.allowed(section, "allow_groups", access::Kind::Group, files),
        }
    }

    fn allowed(
        &mut self,
        section: &Section<'_>,
        key: &str,
        kind: access::Kind,
        files: Files,
    ) -> BTreeMap<u32, Role> {
        let mut allowed = BTreeMap::new();
        let Some(section) = self.problems.section(section, key) else {
            return allowed;
        };
        for (name, _) in section.table {
            let at = name.span().start;
            let name: &str = name.get_ref();
            let role = self.problems.word(&section, name, access::role);
            let number = access::number(kind, name, files == Files::Look);
            let wrong = match (number, role) {
                (Err(wrong), _) => wrong,
                (Ok(Some(number)), Some(role)) if allowed.insert(number, role).is_some() => {
                    format!("number {number} is named twice")
                }
                (Ok(_), _) => continue,
            };
            let path = section.path_of(name);
            self.problems.problem(at, format!("{path}: {wrong}"));
        }
        allowed
    }
}
