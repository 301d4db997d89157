//! The tools that agents offer, and how each wants to be called.

use serde_json::{Value, json};

use super::script::Call;

/// How long a shell tool may take: longer than any test.
const TIMEOUT_MS: u64 = 600_000;

/// Codex hands a command that takes longer to a session of its own.
const YIELD_MS: u64 = 30_000;

/// A tool that an agent offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tool {
    pub(super) name: String,
    /// Takes a text rather than JSON.
    pub(super) free: bool,
}

/// A call in the shape of the agent's tool.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Called {
    pub(super) name: String,
    pub(super) arguments: Arguments,
}

/// What a tool is given.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Arguments {
    Json(Value),
    Free(String),
}

impl Arguments {
    /// As one text.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Json(value) => value.to_string(),
            Self::Free(text) => text.clone(),
        }
    }
}

/// The call in the shape that one of these tools wants.
///
/// # Errors
/// None of them can do it: what was looked for.
pub(super) fn shape(call: &Call, tools: &[Tool]) -> Result<Called, String> {
    let (name, arguments) = match call {
        Call::Shell { command } => {
            let (tool, shape) = pick(SHELLS, tools)?;
            (&tool.name, shape(command))
        }
        Call::Write { path, content } => {
            let (tool, shape) = pick(WRITERS, tools)?;
            (&tool.name, shape(path, content, tool.free))
        }
        Call::Tool { name, arguments } => (name, Arguments::Json(arguments.clone())),
    };
    Ok(Called {
        name: name.clone(),
        arguments,
    })
}

/// The first tool of the table that is offered, and how it is called.
fn pick<'a, S>(table: &'a [(&str, S)], tools: &'a [Tool]) -> Result<(&'a Tool, &'a S), String> {
    let offered = |name: &str| tools.iter().find(|tool| tool.name == name);
    let mut found = table.iter();
    let found = found.find_map(|(name, shape)| Some((offered(name)?, shape)));
    found.ok_or_else(|| {
        let known: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
        let offered: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
        format!("of the tools {known:?} the agent offers none, but {offered:?}")
    })
}

/// Given the command.
type Shell = fn(&str) -> Arguments;

/// Tools that run a command, and how each is given it.
const SHELLS: &[(&str, Shell)] = &[
    // Claude Code.
    ("Bash", with_timeout),
    // Codex: a JavaScript tool around all others, or one of its functions.
    ("exec", |command| {
        let given = json!({"cmd": command, "yield_time_ms": YIELD_MS});
        Arguments::Free(format!("text(await tools.exec_command({given}))"))
    }),
    ("exec_command", |command| {
        Arguments::Json(json!({"cmd": command, "yield_time_ms": YIELD_MS}))
    }),
    ("shell_command", |command| {
        Arguments::Json(json!({"command": command, "timeout_ms": TIMEOUT_MS}))
    }),
    // Gemini CLI.
    ("run_shell_command", |command| {
        Arguments::Json(json!({"command": command, "description": ABOUT}))
    }),
    // opencode.
    ("bash", with_timeout),
];

/// What a tool is told it does.
const ABOUT: &str = "as the test asks";

fn with_timeout(command: &str) -> Arguments {
    Arguments::Json(json!({"command": command, "description": ABOUT, "timeout": TIMEOUT_MS}))
}

/// Given path, content, and whether it takes a text rather than JSON.
type Writer = fn(&str, &str, bool) -> Arguments;

/// Tools that write a file, in the same order.
const WRITERS: &[(&str, Writer)] = &[
    ("Write", |path, content, _| {
        Arguments::Json(json!({"file_path": path, "content": content}))
    }),
    ("exec", |path, content, _| {
        let patch = json!(patch(path, content));
        Arguments::Free(format!("text(await tools.apply_patch({patch}))"))
    }),
    ("apply_patch", |path, content, free| {
        let patch = patch(path, content);
        if free {
            Arguments::Free(patch)
        } else {
            Arguments::Json(json!({"input": patch}))
        }
    }),
    ("write_file", |path, content, _| {
        Arguments::Json(json!({"file_path": path, "content": content}))
    }),
    ("write", |path, content, _| {
        Arguments::Json(json!({"filePath": path, "content": content}))
    }),
];

/// A new file in the format of Codex.
fn patch(path: &str, content: &str) -> String {
    let lines: String = content.lines().map(|line| format!("+{line}\n")).collect();
    format!("*** Begin Patch\n*** Add File: {path}\n{lines}*** End Patch\n")
}
