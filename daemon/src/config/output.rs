//! `[agents.NAME.output]`: what is read from the output of a program that knows
//! nothing of agentd.

use regex::{Regex, RegexBuilder};

use super::{
    document::{Problems, Section},
    read::OUTPUT,
};
use crate::task::signs::{Key, Rules, Sign};

/// Longest regular expression, bytes.
const MAX_PATTERN: usize = 1024;
/// Memory that one may take once it is read, bytes.
const MAX_PROGRAM: usize = 1024 * 1024;

/// A regular expression of the configuration, ready for use.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn pattern(text: &str) -> Result<Regex, String> {
    if text.len() > MAX_PATTERN {
        return Err(format!("longer than {MAX_PATTERN} bytes"));
    }
    let built = RegexBuilder::new(text)
        .size_limit(MAX_PROGRAM)
        .dfa_size_limit(MAX_PROGRAM)
        .build();
    let pattern = built.map_err(|error| {
        if let regex::Error::CompiledTooBig(_) = error {
            return "a regular expression that takes too much memory".to_owned();
        }
        not_one(&error.to_string())
    })?;
    if pattern.is_match("") {
        return Err("a regular expression that matches every line, or an empty one".to_owned());
    }
    Ok(pattern)
}

/// The parser draws a picture before it says what is wrong.
fn not_one(shown: &str) -> String {
    let last = shown.lines().last().unwrap_or_default();
    let why = last.strip_prefix("error: ").unwrap_or(last);
    format!("not a regular expression: {}", why.escape_debug())
}

pub(super) fn read(problems: &mut Problems, section: &Section<'_>) -> Rules {
    let mut known = OUTPUT.to_vec();
    known.extend(Sign::ALL.iter().map(|sign| sign.as_str()));
    problems.unknown_keys(section, &known);
    let mut rules = Rules::default();
    for sign in Sign::ALL {
        let text = problems.word(section, sign.as_str(), |text| {
            pattern(text).map(|_| text.to_owned())
        });
        rules.patterns.extend(text.map(|text| (*sign, text)));
    }
    rules.adds_up = problems.switch(section, "adds_up").unwrap_or_default();
    if let Some(keys) = problems.section(section, "keys") {
        let known: Vec<&str> = Key::ALL.iter().map(|key| key.as_str()).collect();
        problems.unknown_keys(&keys, &known);
        for key in Key::ALL {
            let text = problems.word(&keys, key.as_str(), pointer);
            rules.keys.extend(text.map(|text| (*key, text)));
        }
    }
    rules
}

/// RFC 6901.
fn pointer(text: &str) -> Result<String, String> {
    match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "expected a JSON pointer such as \"/usage/input\", found {text:?}"
        )),
    }
}
