//! What another configuration changes.

use std::collections::BTreeMap;

use super::Config;

/// Something that is set to another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its key: `daemon.max_running`, `agents.claude`.
    pub key: String,
    /// It counts from the next start of the daemon on.
    pub needs_restart: bool,
}

impl Config {
    /// What `next` sets to another value, in the order of the file.
    #[must_use]
    pub fn changes(&self, next: &Self) -> Vec<Change> {
        // All fields are named, so that none that is added is forgotten.
        let Self {
            source: _,
            max_running,
            max_queued,
            default_agent,
            cache_bytes,
            min_free_disk,
            daily_backups,
            heartbeat,
            suspect_after,
            agents_may_control,
            cgroups,
            access,
            limits,
            retry,
            agents,
            repos,
            schedules,
            retention,
            notify,
        } = self;
        let mut keys: Vec<Change> = [
            ("max_running", *max_running != next.max_running, false),
            ("max_queued", *max_queued != next.max_queued, false),
            ("default_agent", *default_agent != next.default_agent, false),
            ("cache", *cache_bytes != next.cache_bytes, true),
            ("min_free_disk", *min_free_disk != next.min_free_disk, false),
            ("daily_backups", *daily_backups != next.daily_backups, false),
            ("heartbeat", *heartbeat != next.heartbeat, false),
            ("suspect_after", *suspect_after != next.suspect_after, false),
            (
                "agents_may_control",
                *agents_may_control != next.agents_may_control,
                false,
            ),
            ("cgroups", *cgroups != next.cgroups, true),
            ("allow_users", access.users != next.access.users, false),
            ("allow_groups", access.groups != next.access.groups, false),
        ]
        .into_iter()
        .filter(|(_, changed, _)| *changed)
        .map(|(key, _, needs_restart)| Change {
            key: format!("daemon.{key}"),
            needs_restart,
        })
        .collect();
        if (limits, retry) != (&next.limits, &next.retry) {
            keys.push(applied("defaults".to_owned()));
        }
        if *retention != next.retention {
            keys.push(applied("retention".to_owned()));
        }
        if *notify != next.notify {
            keys.push(applied("notify".to_owned()));
        }
        keys.extend(named("agents", agents, &next.agents));
        keys.extend(named("repos", repos, &next.repos));
        keys.extend(named("schedules", schedules, &next.schedules));
        keys
    }
}

fn applied(key: String) -> Change {
    Change {
        key,
        needs_restart: false,
    }
}

/// Those that are new, gone, or another one of the same name.
fn named<T: PartialEq>(
    section: &str,
    before: &BTreeMap<String, T>,
    after: &BTreeMap<String, T>,
) -> impl Iterator<Item = Change> {
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| before.get(*name) != after.get(*name));
    let keys: Vec<_> = names
        .into_iter()
        .map(|name| applied(format!("{section}.{name}")))
        .collect();
    keys.into_iter()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, Path::new("config.toml")).unwrap()
    }

    #[test]
    fn every_key_that_changes_is_told() {
        let before = config(
            "[daemon]\nmax_running = 1\n[agents.a]\ntype = \"command\"\n\
             [agents.b]\ntype = \"command\"\n[repos.r]\npath = \"/r\"\n",
        );
        assert_eq!(before.changes(&before), []);
        let after = config(
            "[daemon]\nmax_running = 2\nmax_queued = 5\ndefault_agent = \"shell\"\n\
             cache = \"8MiB\"\nmin_free_disk = \"1GiB\"\ndaily_backups = 0\nheartbeat = \"1s\"\n\
             suspect_after = \"40s\"\nagents_may_control = true\ncgroups = false\n\
             allow_users = { 7 = \"viewer\" }\nallow_groups = { 8 = \"operator\" }\n\
             [defaults]\ntimeout = \"1h\"\n\
             [agents.a]\ntype = \"command\"\nmax_running = 3\n[agents.c]\ntype = \"command\"\n\
             [repos.r]\npath = \"/r\"\n\
             [schedules.s]\ncron = \"0 3 * * *\"\ncommand = [\"true\"]\n\
             [notify]\ncommand = [\"true\"]\n",
        );
        let changes = before.changes(&after);
        let told: Vec<_> = changes.iter().map(|change| change.key.as_str()).collect();
        let daemon = crate::config::read::DAEMON.iter();
        let mut expected: Vec<_> = daemon.map(|key| format!("daemon.{key}")).collect();
        expected.extend(
            [
                "defaults",
                "notify",
                "agents.a",
                "agents.b",
                "agents.c",
                "schedules.s",
            ]
            .map(str::to_owned),
        );
        let mut sorted = told.clone();
        sorted.sort_unstable();
        expected.sort_unstable();
        assert_eq!(sorted, expected);
        let later = changes.iter().filter(|change| change.needs_restart);
        let later: Vec<_> = later.map(|change| change.key.as_str()).collect();
        assert_eq!(later, ["daemon.cache", "daemon.cgroups"]);
    }
}
