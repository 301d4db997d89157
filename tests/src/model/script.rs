//! What the endpoint answers: chosen by the test, never by the prompt.

use std::{collections::VecDeque, time::Duration};

use serde::Deserialize;

/// Replies in the order in which turns of agents take them.
///
/// Only turns take replies (see [`Purpose`](super::Purpose)). An agent that
/// repeats a request by itself takes the next reply with it; an error that is
/// to last is therefore what is answered [otherwise](Self::otherwise).
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    replies: VecDeque<Reply>,
    prompts: Vec<ForPrompt>,
    otherwise: Reply,
}

/// Replies for the conversations in which the user said these words.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForPrompt {
    words: String,
    replies: VecDeque<Reply>,
}

impl Default for Script {
    fn default() -> Self {
        Self::new([])
    }
}

impl Script {
    /// These replies, one a turn; then the text `done` for ever.
    #[must_use]
    pub fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self {
            replies: replies.into_iter().collect(),
            prompts: Vec::new(),
            otherwise: Reply::text("done"),
        }
    }

    /// This reply, at each turn.
    #[must_use]
    pub fn always(reply: Reply) -> Self {
        Self::new([]).otherwise(reply)
    }

    /// What is answered when no reply is left.
    #[must_use]
    pub fn otherwise(mut self, reply: Reply) -> Self {
        self.otherwise = reply;
        self
    }

    /// Replies for the conversations in which the user said these words, before
    /// all others: for several agents that run at the same time.
    #[must_use]
    pub fn for_prompt(
        mut self,
        words: impl Into<String>,
        replies: impl IntoIterator<Item = Reply>,
    ) -> Self {
        self.prompts.push(ForPrompt {
            words: words.into(),
            replies: replies.into_iter().collect(),
        });
        self
    }

    /// Takes the reply for a conversation with these prompts.
    pub(super) fn next(&mut self, prompts: &[String]) -> Reply {
        let asked = |part: &&mut ForPrompt| {
            let said = prompts.iter().any(|prompt| prompt.contains(&part.words));
            said && !part.replies.is_empty()
        };
        let queue = match self.prompts.iter_mut().find(asked) {
            Some(part) => &mut part.replies,
            None => &mut self.replies,
        };
        queue.pop_front().unwrap_or_else(|| self.otherwise.clone())
    }
}

/// What one turn gets.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The model answers.
    Answer(Answer),
    /// The API refuses, with a status.
    Error(ApiError),
    /// The limit of a subscription is reached: an error in the words of each
    /// API.
    UsageLimit {
        /// When it ends; seconds since 1970.
        resets_at: u64,
    },
    /// The connection is closed without a word.
    Hangup,
    /// The request is taken, and no word is ever answered.
    NoAnswer,
}

impl Reply {
    /// A text, and the end of the agent's work.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Answer(Answer {
            text: text.into(),
            ..Answer::default()
        })
    }

    /// Has the agent run a command in its shell. Its outcome comes with the
    /// next turn.
    #[must_use]
    pub fn shell(command: impl Into<String>) -> Self {
        Self::calls([Call::Shell {
            command: command.into(),
        }])
    }

    /// Has the agent write a file with its own tool for that; a path that is
    /// not absolute counts from where the agent works.
    #[must_use]
    pub fn write(path: impl Into<String>, content: impl Into<String>) -> Self {
        Self::calls([Call::Write {
            path: path.into(),
            content: content.into(),
        }])
    }

    /// Several calls of tools in one turn.
    #[must_use]
    pub fn calls(calls: impl IntoIterator<Item = Call>) -> Self {
        Self::Answer(Answer {
            text: "Using a tool.".to_owned(),
            calls: calls.into_iter().collect(),
            ..Answer::default()
        })
    }

    /// An HTTP status with the kind and message that the API usually gives it.
    #[must_use]
    pub fn error(status: u16) -> Self {
        Self::Error(ApiError {
            status,
            ..ApiError::default()
        })
    }

    /// The same error with another message.
    ///
    /// # Panics
    /// If it is no error.
    #[must_use]
    pub fn message(self, message: impl Into<String>) -> Self {
        self.change_error(|error| error.message = Some(message.into()))
    }

    /// The same error with another kind: `type` of Anthropic, `code` of OpenAI,
    /// `status` of Google.
    ///
    /// # Panics
    /// If it is no error.
    #[must_use]
    pub fn kind(self, kind: impl Into<String>) -> Self {
        self.change_error(|error| error.kind = Some(kind.into()))
    }

    /// The same error with the header `retry-after`.
    ///
    /// # Panics
    /// If it is no error.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.change_error(|error| error.retry_after = Some(seconds))
    }

    /// The same answer with these figures.
    ///
    /// # Panics
    /// If it is no answer.
    #[must_use]
    pub fn usage(self, usage: Usage) -> Self {
        self.change_answer(|answer| answer.usage = usage)
    }

    /// The same answer, but the stream takes this course.
    ///
    /// # Panics
    /// If it is no answer.
    #[must_use]
    pub fn course(self, course: Course) -> Self {
        self.change_answer(|answer| answer.course = course)
    }

    /// The same answer, but the model stopped because of this.
    ///
    /// # Panics
    /// If it is no answer.
    #[must_use]
    pub fn stop(self, stop: Stop) -> Self {
        self.change_answer(|answer| answer.stop = stop)
    }

    fn change_error(mut self, change: impl FnOnce(&mut ApiError)) -> Self {
        let Self::Error(error) = &mut self else {
            panic!("{self:?} is no error");
        };
        change(error);
        self
    }

    fn change_answer(mut self, change: impl FnOnce(&mut Answer)) -> Self {
        let Self::Answer(answer) = &mut self else {
            panic!("{self:?} is no answer");
        };
        change(answer);
        self
    }
}

/// What the model says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    /// Sent word by word.
    pub text: String,
    /// What it wants the agent to do after that.
    pub calls: Vec<Call>,
    /// What it is said to have cost.
    pub usage: Usage,
    /// How the stream goes.
    pub course: Course,
    /// Why it ends.
    pub stop: Stop,
}

/// A call of one of the agent's tools, told in the shape that it offers.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Call {
    /// A command for its shell.
    Shell {
        /// As for `bash -c`.
        command: String,
    },
    /// A file that it writes itself.
    Write {
        /// Where; from where the agent works, if it is not absolute.
        path: String,
        /// The whole of it.
        content: String,
    },
    /// Any other tool, in its own words; also one that it does not have.
    Tool {
        /// Its name.
        name: String,
        /// What it is given.
        arguments: serde_json::Value,
    },
}

/// Tokens of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// Read, not from the cache.
    pub input: u64,
    /// Read from the cache.
    pub cached: u64,
    /// Written.
    pub output: u64,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            input: 1000,
            cached: 200,
            output: 50,
        }
    }
}

/// How a stream goes. One that is not whole has sent all words of the text, and
/// nothing of what follows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Course {
    /// At once and to its end.
    #[default]
    Whole,
    /// To its end, with a pause before each word.
    Slow {
        /// Milliseconds.
        pause_ms: u64,
    },
    /// The connection is lost.
    Cut,
    /// An orderly end of the response without the closing events.
    Short,
    /// The connection stays, and nothing more comes.
    Silent,
    /// An event that tells of an error: the model is overloaded.
    Fails,
}

impl Course {
    pub(super) fn pause(self) -> Option<Duration> {
        match self {
            Self::Slow { pause_ms } => Some(Duration::from_millis(pause_ms)),
            Self::Whole | Self::Cut | Self::Short | Self::Silent | Self::Fails => None,
        }
    }
}

/// Why the model stops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// It has said all, or waits for a tool.
    #[default]
    End,
    /// It has written as much as it may.
    MaxTokens,
    /// It will not do this.
    Refusal,
}

/// An error of the API.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// `type`, `code` or `status` in the body; else what is usual.
    pub kind: Option<String>,
    /// For people; else what is usual.
    pub message: Option<String>,
    /// Seconds, as a header.
    pub retry_after: Option<u64>,
}
