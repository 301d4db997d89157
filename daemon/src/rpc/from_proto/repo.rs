//! Repositories by the names that the operator has given them.

use std::path::PathBuf;

use agentd_proto::reason;
use tonic::Code;

use super::super::error::Failure;
use crate::{
    config::{self, Config},
    task::limits::{MAX_LABEL, clip},
};

/// The path of a repository that is given by its path or by its name.
pub(super) fn named(given: &str, config: &Config) -> Result<PathBuf, Failure> {
    if let Some(repo) = config.repos.get(given) {
        return Ok(repo.path.clone());
    }
    if given.contains('/') {
        return Ok(PathBuf::from(given));
    }
    let known = || config.repos.keys().map(String::as_str);
    let hint = match config::nearest(given, known()) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None if config.repos.is_empty() => {
            "name a directory inside a git repository; the configuration names none".to_owned()
        }
        None => format!(
            "name a directory inside a git repository; configured are: {}",
            clip(&known().collect::<Vec<_>>().join(", "), MAX_LABEL)
        ),
    };
    let given = clip(given, MAX_LABEL);
    let message = format!("there is no repository {given:?}, here or in the configuration");
    Err(Failure::new(Code::InvalidArgument, reason::REPO_INVALID, message).hint(hint))
}

/// As tasks have it. A name that nobody knows is of no task, which is an answer.
pub(super) fn filtered(given: String, config: &Config) -> String {
    let repo = config.repos.get(&given);
    let path = repo.and_then(|repo| repo.path.to_str());
    path.map_or(given, str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_repository_has_a_path_and_perhaps_a_name() {
        let text = "[repos.app]\npath = \"/src/app\"\n";
        let config = Config::parse(text, Path::new("config.toml")).unwrap();
        let path = |given| named(given, &config).map_err(tonic::Status::from);
        assert_eq!(path("app").unwrap(), Path::new("/src/app"));
        assert_eq!(path("/src/b").unwrap(), Path::new("/src/b"));
        let refused = path("ap").unwrap_err();
        assert!(
            refused.message().contains("no repository \"ap\""),
            "{refused}"
        );
        assert_eq!(filtered("app".to_owned(), &config), "/src/app");
        assert_eq!(filtered("/x".to_owned(), &config), "/x");
    }
}
