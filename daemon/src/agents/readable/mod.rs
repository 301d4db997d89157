//! What structured agents print, as a person reads it.
//!
//! ```text
//! # session 95cc3bff…, model opus
//! I look at the file first.
//! > Bash: cat a.txt
//!   | alpha
//!   | … 12 more lines
//! # ended
//! # used: 2000 tokens in, 100 out, 2 turns, $0.01
//! ```
//!
//! Each line of output gives some lines of text, or none if it tells a person
//! nothing. What is no event that is known is shown as it is. The bytes stay in
//! the transcript.
//!
//! Not here: what was used is not taken from the output. Most agents count on
//! over a session, each in a way of its own; what is known of the attempt comes
//! last instead ([`used`]), so that it is what `show` says.

mod claude;
mod codex;
mod gemini;
mod opencode;

use serde_json::Value;

use crate::task::{spec::AgentType, usage::Usage};

/// Longest line of output that is looked into, bytes.
const MAX_LINE: usize = 1024 * 1024;
/// Longest line of text about a tool, characters.
const WIDTH: usize = 200;
/// Lines of a tool's result that are shown.
const RESULT_LINES: usize = 5;

/// A line of text, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// What it says; holds no control characters but tabs.
    pub text: String,
    /// It goes on with the next one.
    pub goes_on: bool,
}

/// Makes text of the output of one agent type.
#[derive(Debug)]
pub struct Readable {
    agent_type: AgentType,
    /// The last text was a part of a line.
    begun: bool,
}

impl Readable {
    /// For agents of this type; `None` if what they print is text already.
    #[must_use]
    pub fn of(agent_type: AgentType) -> Option<Self> {
        match agent_type {
            AgentType::Command => None,
            AgentType::Claude | AgentType::Codex | AgentType::Gemini | AgentType::Opencode => {
                Some(Self {
                    agent_type,
                    begun: false,
                })
            }
        }
    }

    /// What a whole line of output says.
    pub fn line(&mut self, line: &[u8]) -> Vec<Text> {
        let mut page = Page::default();
        if !self.event(line, &mut page) {
            page.text(&String::from_utf8_lossy(line));
        }
        let mut texts = page.0;
        if let Some(first) = texts.first()
            && self.begun
            && !first.goes_on
        {
            texts.insert(0, Text::whole(String::new()));
        }
        if let Some(last) = texts.last() {
            self.begun = last.goes_on;
        }
        texts
    }

    fn event(&self, line: &[u8], page: &mut Page) -> bool {
        if line.len() > MAX_LINE {
            page.status(&format!("a line of {} bytes", line.len()));
            return true;
        }
        let Ok(event) = serde_json::from_slice::<Value>(line) else {
            return false;
        };
        if !event.is_object() {
            return false;
        }
        match self.agent_type {
            AgentType::Command => return false,
            AgentType::Claude => claude::show(&event, page),
            AgentType::Codex => codex::show(&event, page),
            AgentType::Gemini => gemini::show(&event, page),
            AgentType::Opencode => opencode::show(&event, page),
        }
        true
    }
}

/// What an attempt has used, in the words in which `show` says it.
#[must_use]
pub fn used(usage: Usage) -> Text {
    let Usage {
        input,
        output,
        cached,
        cost,
        turns,
    } = usage;
    let mut text = format!("# used: {input} tokens in, {output} out");
    let turn = if turns == 1 { "turn" } else { "turns" };
    for (count, what) in [(cached, "cached"), (turns, turn)] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    if let Some(micros) = cost {
        let part = format!("{:06}", micros % 1_000_000);
        // Cents at least.
        let part = format!("{:0<2}", part.trim_end_matches('0'));
        text.push_str(&format!(", ${}.{part}", micros / 1_000_000));
    }
    Text::whole(text)
}

impl Text {
    fn whole(text: String) -> Self {
        Self {
            text,
            goes_on: false,
        }
    }
}

/// What one event says.
#[derive(Debug, Default)]
struct Page(Vec<Text>);

impl Page {
    /// What the agent says.
    fn text(&mut self, text: &str) {
        let lines = text.trim_end().lines();
        self.0.extend(lines.map(|line| Text::whole(clean(line))));
    }

    /// A piece of what it says.
    fn piece(&mut self, text: &str) {
        let mut lines = text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let goes_on = lines.peek().is_none();
            self.0.push(Text {
                text: clean(line),
                goes_on,
            });
        }
    }

    /// A tool that is called, and what with.
    fn call(&mut self, tool: &str, with: &str) {
        let mut lines = with.trim().lines();
        let first = lines.next().unwrap_or_default();
        let more = if lines.next().is_some() { " …" } else { "" };
        let colon = if first.is_empty() { "" } else { ": " };
        self.line(&format!("> {tool}{colon}{first}{more}"));
    }

    /// What came of it.
    fn result(&mut self, text: &str, failed: bool) {
        if failed {
            self.line("  ! it failed");
        }
        let lines: Vec<&str> = text.trim_end().lines().collect();
        for line in lines.iter().take(RESULT_LINES) {
            self.line(&format!("  | {line}"));
        }
        match lines.len().saturating_sub(RESULT_LINES) {
            0 => {}
            1 => self.line("  | … 1 more line"),
            more => self.line(&format!("  | … {more} more lines")),
        }
    }

    /// How the run goes.
    fn status(&mut self, text: &str) {
        let line = text.lines().collect::<Vec<_>>().join(" ");
        self.line(&format!("# {line}"));
    }

    fn line(&mut self, text: &str) {
        let mut line: String = text.chars().take(WIDTH).collect();
        if line.len() < text.len() {
            line.push('…');
        }
        self.0.push(Text::whole(clean(&line)));
    }
}

/// What agents print must not steer the terminal.
fn clean(text: &str) -> String {
    let steers = |char: char| char.is_control() && char != '\t';
    text.replace(steers, "\u{fffd}")
}

/// The text behind a key; empty if there is none.
fn text<'a>(event: &'a Value, at: &str) -> &'a str {
    let found = event.pointer(at).and_then(Value::as_str);
    found.unwrap_or_default()
}

fn number(event: &Value, at: &str) -> u64 {
    let found = event.pointer(at).and_then(Value::as_u64);
    found.unwrap_or_default()
}

/// What a tool is called with, in one line: the value that says most, else all
/// of them.
fn arguments(input: &Value) -> String {
    const TELLING: [&str; 8] = [
        "command",
        "file_path",
        "filePath",
        "path",
        "pattern",
        "query",
        "url",
        "description",
    ];
    let telling = TELLING.iter().find_map(|key| input.get(key)?.as_str());
    match (telling, input) {
        (Some(value), _) => value.to_owned(),
        (None, Value::Object(values)) if values.is_empty() => String::new(),
        (None, Value::Null) => String::new(),
        (None, other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
