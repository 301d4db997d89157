//! The agents that the daemon is tested with, and what each needs.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use agentd_tests::model::{claude, codex, gemini, opencode};

/// Those that this run is about.
#[cfg(not(feature = "agents-longer"))]
pub(crate) const AGENTS: [Kind; 2] = [Kind::Claude, Kind::Codex];
/// Those that this run is about.
#[cfg(feature = "agents-longer")]
pub(crate) const AGENTS: [Kind; 4] = [Kind::Claude, Kind::Codex, Kind::Gemini, Kind::Opencode];

/// An agent; its name is that of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Claude,
    Codex,
    #[cfg_attr(not(feature = "agents-longer"), expect(dead_code, reason = "longer"))]
    Gemini,
    Opencode,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Opencode => "opencode",
        }
    }

    pub(crate) fn program(self) -> PathBuf {
        match self {
            Self::Claude => claude(),
            Self::Codex => codex(),
            Self::Gemini => gemini(),
            Self::Opencode => opencode(),
        }
    }

    /// The variable that says where it keeps its sessions.
    pub(crate) fn place(self) -> &'static str {
        match self {
            Self::Claude => "CLAUDE_CONFIG_DIR",
            Self::Codex => "CODEX_HOME",
            Self::Gemini => "GEMINI_CLI_HOME",
            Self::Opencode => "XDG_DATA_HOME",
        }
    }

    /// The file without which it does not know this session.
    pub(crate) fn file(self, home: &Path, session: &str) -> PathBuf {
        let name = match self {
            Self::Claude | Self::Codex => format!("{session}.jsonl"),
            Self::Gemini => format!("-{}.jsonl", &session[..8]),
            Self::Opencode => "/opencode.db".to_owned(),
        };
        find(home, &name).unwrap()
    }

    /// How a session is found that is still there: a database is not looked into.
    pub(crate) fn way(self) -> &'static str {
        match self {
            Self::Claude | Self::Codex | Self::Gemini => "seen",
            Self::Opencode => "unseen",
        }
    }

    /// What it is told when it is to use a model of this name.
    pub(crate) fn model(self, name: &str) -> String {
        match self {
            Self::Claude | Self::Codex | Self::Gemini => name.to_owned(),
            Self::Opencode => format!("p/{name}"),
        }
    }

    /// Files that it needs in a home, lest it asks who nobody is there to
    /// answer, or wants something from the rest of the world.
    pub(crate) fn furnish(self, home: &Path) {
        match self {
            Self::Claude | Self::Codex => {}
            Self::Gemini => {
                let dir = home.join(".gemini");
                fs::create_dir_all(&dir).unwrap();
                fs::write(dir.join("settings.json"), GEMINI_SETTINGS).unwrap();
            }
            // It installs the types of its plugins for those who write some,
            // unless they are there: this is how it finds out.
            Self::Opencode => {
                let dir = home.join(".config/opencode");
                fs::create_dir_all(dir.join("node_modules")).unwrap();
                fs::write(dir.join("package-lock.json"), OPENCODE_LOCK).unwrap();
            }
        }
    }

    /// Its part of the configuration, with what is `shared` in its environment.
    pub(crate) fn config(self, url: &str, shared: &str) -> String {
        let command = format!("command = ['{}']\n", self.program().display());
        let rest = match self {
            Self::Claude => format!(
                "allow_root = true\nresult_grace = '1s'\n\
                 env = {{ ANTHROPIC_BASE_URL = '{url}', ANTHROPIC_API_KEY = 'key', \
                 CLAUDE_CODE_MAX_RETRIES = '0', {shared} }}\n"
            ),
            Self::Codex => format!(
                "args = ['-c', 'model_providers.p={{name=\"p\",base_url=\"{url}/v1\",\
                 wire_api=\"responses\",env_key=\"CODEX_API_KEY\"}}', \
                 '-c', 'model_provider=p']\n\
                 env = {{ CODEX_API_KEY = 'key', {shared} }}\n"
            ),
            // Without a model it asks one which to use.
            Self::Gemini => format!(
                "model = 'gemini-2.5-pro'\n\
                 env = {{ GOOGLE_GEMINI_BASE_URL = '{url}', GEMINI_API_KEY = 'key', {shared} }}\n"
            ),
            Self::Opencode => format!(
                "env = {{ OPENCODE_DISABLE_MODELS_FETCH = '1', \
                 OPENCODE_CONFIG_CONTENT = '{}', {shared} }}\n",
                opencode_config(url)
            ),
        };
        format!("[agents.{self}]\ntype = '{self}'\n{command}{rest}")
    }
}

/// Whoever it is told about its use is not there, and it repeats for minutes what
/// fails.
const GEMINI_SETTINGS: &str = r#"{
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "privacy": {"usageStatisticsEnabled": false},
    "general": {"maxAttempts": 1, "enableAutoUpdate": false}
}"#;

const OPENCODE_LOCK: &str =
    r#"{"packages": {"": {"dependencies": {"@opencode-ai/plugin": "1.18.33"}}}}"#;

/// A provider of one model, with prices.
fn opencode_config(url: &str) -> String {
    let model = r#"{"cost":{"input":1,"output":2,"cache_read":0.5},"limit":{"context":1000000,"output":8000}}"#;
    let provider = format!(
        r#"{{"npm":"@ai-sdk/openai-compatible","options":{{"baseURL":"{url}/v1","apiKey":"key"}},"models":{{"m":{model}}}}}"#
    );
    format!(r#"{{"model":"p/m","provider":{{"p":{provider}}}}}"#)
}

/// The file below a directory whose path ends so.
fn find(dir: &Path, ending: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(dir).ok()?;
    let mut paths = entries.map(|entry| entry.unwrap().path());
    paths.find_map(|path| {
        if path.is_dir() && !path.is_symlink() {
            return find(&path, ending);
        }
        path.to_str()?.ends_with(ending).then_some(path)
    })
}
