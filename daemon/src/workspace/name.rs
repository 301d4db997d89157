//! Names of worktrees and branches, made of agents and issues.
//!
//! A name is one component of a path and of a ref (git-check-ref-format(1)).
//! Different (agent, issue) pairs have different names: wherever the readable
//! form does not tell them apart, a hash of both is added.

use std::path::Path;

use crate::task::id::TaskId;

/// Longest part of an issue that is kept, bytes.
const MAX_ISSUE: usize = 60;
/// Longest part of an agent's or repository's name that is kept, bytes.
const MAX_PART: usize = 64;
/// Hexadecimal digits of the hash in a worktree's name.
const HASH: usize = 12;

/// The name of the worktree of a key, or of a task without one.
pub(super) fn of_worktree(agent: &str, issue: Option<&str>, task: TaskId) -> String {
    let Some(issue) = issue else {
        return format!("task-{task}");
    };
    let safe_agent = safe(agent, MAX_PART);
    let safe_issue = safe(issue, MAX_ISSUE);
    let plain = format!("{safe_agent}-{safe_issue}");
    let exact = safe_agent == agent && safe_issue == issue;
    // `a-b` with `c` and `a` with `b-c` read alike, and so do the task 7 and
    // the issue 7 of an agent `task`.
    let parted = !agent.is_empty() && !agent.contains('-') && agent != "task";
    // An issue that looks as if it had a hash could be another's name.
    let like_hashed = issue.len() > HASH
        && issue.as_bytes()[issue.len() - HASH..]
            .iter()
            .all(u8::is_ascii_hexdigit);
    if exact && parted && !like_hashed && !issue.is_empty() && is_end(&plain) {
        return plain;
    }
    let mut identity = agent.as_bytes().to_vec();
    // Not a character of UTF-8: it parts the two.
    identity.push(0xff);
    identity.extend_from_slice(issue.as_bytes());
    let hash = format!("{:016x}", fnv1a(&identity));
    format!("{plain}-{}", &hash[..HASH])
}

/// The name of the directory of a repository's worktrees.
pub(super) fn of_repo(path: &Path) -> String {
    let last = path.file_name().unwrap_or_default().to_string_lossy();
    let hash = fnv1a(path.as_os_str().as_encoded_bytes());
    // Both halves take part in the eight digits.
    let short = (hash >> 32) ^ (hash & 0xffff_ffff);
    format!("{}-{short:08x}", safe(&last, MAX_PART))
}

/// Keeps what is harmless in paths, refs and shells, one `-` for each stretch
/// of the rest; begins with a letter or digit; no `..`.
fn safe(text: &str, max: usize) -> String {
    let mut safe = String::new();
    for char in text.chars() {
        if safe.len() >= max {
            break;
        }
        let keep = char.is_ascii_alphanumeric()
            || char == '_' && !safe.is_empty()
            || char == '-' && !safe.is_empty()
            || char == '.' && !safe.is_empty() && !safe.ends_with('.');
        if keep {
            safe.push(char);
        } else if !safe.ends_with('-') && !safe.is_empty() {
            safe.push('-');
        }
    }
    if safe.is_empty() {
        safe.push('x');
    }
    safe
}

/// Endings that git refuses.
fn is_end(name: &str) -> bool {
    !name.ends_with('.') && !name.ends_with(".lock")
}

/// FNV-1a: the same on every machine and in every version.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::workspace::git::Git;

    fn name(agent: &str, issue: &str) -> String {
        of_worktree(agent, Some(issue), TaskId::FIRST)
    }

    #[test]
    fn ordinary_names_are_plain() {
        assert_eq!(name("claude", "42"), "claude-42");
        assert_eq!(name("claude", "fix-the-login"), "claude-fix-the-login");
        assert_eq!(of_worktree("claude", None, TaskId::FIRST), "task-1");
    }

    #[test]
    fn names_are_stable() {
        // Worktrees on disk have these names: they cannot change.
        assert_eq!(name("claude", "a b"), "claude-a-b-cbc5c96ed636");
        assert_eq!(of_repo(Path::new("/home/ann/src/app")), "app-2fd45843");
    }

    #[test]
    fn what_reads_alike_is_told_apart() {
        let pairs = [
            ("a", "b-c"),
            ("a-b", "c"),
            ("task", "1"),
            ("a", "x"),
            ("a", ""),
            ("a", "-x"),
            ("a", "x y"),
            ("a", "x\ny"),
            ("a", "x-y"),
            ("a", "x/y"),
            ("a", "X"),
            ("a", "v1..v2"),
            ("a", "v1.-v2"),
            ("a", "main.lock"),
            ("a", "main."),
            ("a", "ä"),
            ("a", "ö"),
        ];
        let mut names: Vec<_> = pairs.iter().map(|(a, i)| name(a, i)).collect();
        names.push(of_worktree("a", None, TaskId::FIRST));
        // A plain issue cannot take the name of a hashed one.
        names.push(name("a", name("a", "x y").strip_prefix("a-").unwrap()));
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
    }

    #[test]
    fn repositories_of_one_name_are_told_apart() {
        let [a, b] = ["/a/app", "/b/app"].map(|path| of_repo(Path::new(path)));
        assert!(a.starts_with("app-") && b.starts_with("app-"));
        assert_ne!(a, b);
        assert!(of_repo(Path::new("/")).starts_with("x-"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn git_takes_every_name(agent in "\\PC{0,70}|[a-z.-]{1,20}", issue in issues()) {
            let name = name(&agent, &issue);
            prop_assert!(name.len() <= 200 && !name.contains('/'));
            prop_assert!(name.starts_with(|c: char| c.is_ascii_alphanumeric()));
            let branch = format!("agent/{name}");
            let git = Git::at(Path::new("/"));
            prop_assert!(git.asks(&[&"check-ref-format", &"--branch", &branch]).unwrap());
        }
    }

    proptest! {
        #[test]
        fn no_two_keys_share_a_name(
            keys in proptest::collection::vec(("[a-c-]{1,3}|task", issues()), 2..20)
        ) {
            let mut owners = BTreeMap::new();
            for (agent, issue) in keys {
                let key = (agent, issue);
                let name = name(&key.0, &key.1);
                let owner = owners.entry(name).or_insert_with(|| key.clone());
                prop_assert_eq!(&*owner, &key);
            }
        }
    }

    fn issues() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9]{1,6}",
            "[ab .-]{0,4}",
            "\\PC{0,80}",
            "(?s).{0,30}(\\.lock)?"
        ]
    }
}
