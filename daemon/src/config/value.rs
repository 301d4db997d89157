//! Words that values are made of: durations, sizes, signals, names, paths.
//! Each parser says what is wrong with a word, not where it stands.

use std::path::{Component, Path, PathBuf};

use nix::sys::signal::Signal;

use super::SESSION;
use crate::task::{
    limits::{CPU, MAX_LABEL, MIN_MEMORY, clip},
    reason::{FailureReason, Reasons},
    spec::Fetch,
};

/// Longest duration, milliseconds: 366 days.
const MAX_DURATION: u64 = 366 * DAY;
const DAY: u64 = 24 * 60 * 60 * 1000;

/// The signals that ask a program to end.
const POLITE: [Signal; 6] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// The one of `options` that `word` was probably meant to be.
#[must_use]
pub fn nearest<'a>(word: &str, options: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |option: &str| strsim::damerau_levenshtein(word, option);
    // Words are compared only where that is cheap.
    let plausible = options
        .into_iter()
        .filter(|option| word.len() <= 64 && distance(option) <= 1 + option.chars().count() / 4);
    plausible.min_by_key(|option| distance(option))
}

/// `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`: fits a label, a branch and a path.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.len() <= 64
        && text.bytes().all(part)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// A name that every shell takes for a variable.
#[must_use]
pub fn is_variable(text: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 256
        && text.bytes().all(part)
        && text.starts_with(|first: char| !first.is_ascii_digit())
}

/// `500ms`, `10s`, `1h30m`: milliseconds.
pub(super) fn duration(text: &str) -> Result<u64, String> {
    let wrong = || "expected a duration such as \"10s\", \"5m\" or \"1h30m\"".to_owned();
    if text.starts_with('-') {
        return Err("a duration cannot be negative".to_owned());
    }
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = prefix(rest, |c| c.is_ascii_digit());
        let unit = prefix(&rest[digits.len()..], |c| c.is_ascii_alphabetic());
        rest = &rest[digits.len() + unit.len()..];
        let factor = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            "d" => DAY,
            _ => return Err(wrong()),
        };
        if digits.is_empty() {
            return Err(wrong());
        }
        let part = digits.parse::<u64>().ok();
        total = part
            .and_then(|number| number.checked_mul(factor))
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= MAX_DURATION)
            .ok_or("longer than 366d")?;
    }
    match (text.is_empty(), total) {
        (true, _) => Err(wrong()),
        (false, 0) => Err("a duration of nothing is not possible".to_owned()),
        (false, total) => Ok(total),
    }
}

/// As [`duration`], or `off`: 0.
pub(super) fn duration_or_off(text: &str) -> Result<u64, String> {
    match text {
        "off" => Ok(0),
        text => duration(text).map_err(|wrong| format!("{wrong}, or \"off\"")),
    }
}

/// Whether a remote is asked for what is new.
pub(super) fn fetch(text: &str) -> Result<Fetch, String> {
    let words = Fetch::ALL.map(Fetch::as_str);
    let found = Fetch::ALL.into_iter().find(|fetch| fetch.as_str() == text);
    found.ok_or_else(|| format!("no such way {text:?}{}", suggest(text, &words)))
}

/// `64MiB`: bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let digits = prefix(text, |c| c.is_ascii_digit());
    let shift = match &text[digits.len()..] {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err("expected a size such as \"64MiB\" or \"2GiB\"".to_owned()),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "expected a size such as \"64MiB\" or \"2GiB\"")?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "larger than any machine".to_owned())
}

/// As [`size`], for the memory of an agent.
pub(super) fn memory(text: &str) -> Result<u64, String> {
    match size(text)? {
        bytes if bytes < MIN_MEMORY => Err("less than 1MiB is not possible".to_owned()),
        bytes => Ok(bytes),
    }
}

/// `1.5`: thousandths of a CPU.
pub(super) fn cpu(text: &str) -> Result<u32, String> {
    let wrong = || "expected a number of CPUs such as \"2\" or \"0.5\"".to_owned();
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return Err(wrong());
    }
    let part: u32 = format!("{part:0<3}").parse().map_err(|_| wrong())?;
    let thousandths = whole.parse::<u32>().ok().and_then(|n| n.checked_mul(1000));
    let thousandths = thousandths.and_then(|n| n.checked_add(part));
    thousandths
        .filter(|number| CPU.contains(number))
        .ok_or_else(|| "expected 0.01 to 10000 CPUs".to_owned())
}

/// A number with at most `decimals` digits behind the point, as a whole number
/// of the last of them: `5.2` with three is 5200.
pub(super) fn decimal(text: &str, decimals: usize) -> Option<u64> {
    let text = text.replace('_', "");
    let (whole, part) = text.split_once('.').unwrap_or((&text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // Zeros at the end say nothing.
    let part = part.trim_end_matches('0');
    if !digits(whole) || !(part.is_empty() || digits(part)) || part.len() > decimals {
        return None;
    }
    let part: u64 = format!("{part:0<decimals$}").parse().ok()?;
    let unit = 10_u64.checked_pow(u32::try_from(decimals).ok()?)?;
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(unit)?
        .checked_add(part)
}

/// The failure reasons of these words.
///
/// # Errors
/// The first word that is none, and what it was probably meant to be.
pub fn reasons(words: &[&str]) -> Result<Reasons, String> {
    let reason = |word: &&str| {
        FailureReason::of_word(word).ok_or_else(|| {
            let known: Vec<_> = FailureReason::ALL.iter().map(|r| r.as_str()).collect();
            let word = clip(word, MAX_LABEL);
            format!("no failure reason {word:?}{}", suggest(&word, &known))
        })
    };
    words.iter().map(reason).collect()
}

/// As [`reasons`], for `retry_on`.
///
/// # Errors
/// Also one that may not be tried again by itself.
pub fn retryable(words: &[&str]) -> Result<Reasons, String> {
    let reasons = reasons(words)?;
    match reasons.iter().find(|reason| !reason.may_be_retried()) {
        Some(reason) => Err(format!(
            "{reason} is not tried again by itself: a person or a limit has ended it"
        )),
        None => Ok(reasons),
    }
}

/// The number of a signal such as `SIGTERM`.
pub(super) fn polite_signal(text: &str) -> Result<i32, String> {
    let names = POLITE.map(Signal::as_str);
    if let Some(signal) = POLITE.iter().find(|signal| signal.as_str() == text) {
        return Ok(*signal as i32);
    }
    Err(format!(
        "not a signal that asks a program to end: {text:?}{}",
        suggest(text, &names)
    ))
}

/// An absolute path; `~` at the start is `home`.
pub(super) fn path(text: &str, home: Option<&Path>) -> Result<PathBuf, String> {
    let expanded = match text.strip_prefix('~') {
        None => PathBuf::from(text),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let home = home.ok_or("~ is not known: HOME is not set")?;
            home.join(rest.trim_start_matches('/'))
        }
        Some(_) => return Err("only ~ and ~/ are expanded, not the homes of others".to_owned()),
    };
    if expanded.is_absolute() {
        Ok(expanded)
    } else {
        Err(format!("expected an absolute path or ~/, found {text:?}"))
    }
}

/// As [`path`], of what an agent in a sandbox may write to. What is the kernel's is
/// nobody's to give.
pub(super) fn writable(text: &str, home: Option<&Path>) -> Result<PathBuf, String> {
    let path = path(text, home)?;
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("{text:?} leads upwards"));
    }
    match path.to_str() {
        Some("/") => Err("with / it may write everywhere: leave sandbox out then".to_owned()),
        _ if ["/proc", "/sys"].iter().any(|top| path.starts_with(top)) => {
            Err(format!("{text} is the kernel's"))
        }
        _ => Ok(path),
    }
}

/// The path of a session's file: the id stands in it once, and nothing leads
/// out of where it points.
pub(super) fn session_file(text: &str, home: Option<&Path>) -> Result<String, String> {
    let path = path(text, home)?;
    let text = path
        .into_os_string()
        .into_string()
        .map_err(|_| "HOME is not UTF-8".to_owned())?;
    let around: Vec<&str> = text.split(SESSION).collect();
    if around.len() != 2 || around.iter().any(|part| part.contains(['{', '}'])) {
        return Err(format!(
            "expected {SESSION} once in it, and no other braces"
        ));
    }
    if Path::new(&text)
        .components()
        .any(|part| part == Component::ParentDir)
    {
        return Err("expected a path without ..".to_owned());
    }
    Ok(text)
}

/// A search path: directories with colons between them.
pub(super) fn search_path(text: &str, home: Option<&Path>) -> Result<String, String> {
    let dirs = text.split(':').map(|dir| {
        let dir = path(dir, home)?;
        dir.into_os_string()
            .into_string()
            .map_err(|_| "HOME is not UTF-8".to_owned())
    });
    Ok(dirs.collect::<Result<Vec<_>, _>>()?.join(":"))
}

/// `: did you mean x?`, or the words that are possible.
pub(super) fn suggest(word: &str, options: &[&str]) -> String {
    match nearest(word, options.iter().copied()) {
        Some(option) => format!(": did you mean {option}?"),
        // A long list hides what was said before it.
        None if options.len() > MOST_OPTIONS => format!(
            ": expected one of {}, such as {}",
            options.len(),
            options[..4].join(", ")
        ),
        None => format!(": expected {}", options.join(", ")),
    }
}

/// So many words are listed.
const MOST_OPTIONS: usize = 12;

fn prefix(text: &str, keep: impl Fn(char) -> bool) -> &str {
    let end = text.find(|c| !keep(c)).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sums_of_numbers_with_units() {
        for (text, millis) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
        ] {
            assert_eq!(duration(text), Ok(millis), "{text}");
        }
        for bad in [
            "",
            "10",
            "s",
            "10 s",
            "10x",
            "1.5h",
            "-5s",
            "0s",
            "0h0m",
            "367d",
            "1h-1m",
            "9s9",
            "99999999999999999999s",
            "18446744073709551615d",
            "١s",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(size("64MiB"), Ok(CACHE));
        assert_eq!(size("1B"), Ok(1));
        for bad in ["", "64", "MiB", "64MB", "-1MiB", "99999999999TiB", "1.5GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
    const CACHE: u64 = 64 * 1024 * 1024;

    #[test]
    fn cpus_have_thousandths() {
        for (text, thousandths) in [("1", 1000), ("0.5", 500), ("1.25", 1250), ("0.010", 10)] {
            assert_eq!(cpu(text), Ok(thousandths), "{text}");
        }
        for bad in [
            "", ".", ".5", "1.", "-1", "+1", "0", "0.001", "1.0005", "1,5", "1e3", "10001",
            "9999999",
        ] {
            assert!(cpu(bad).is_err(), "{bad}");
        }
        assert_eq!(memory("1MiB"), Ok(1 << 20));
        assert!(memory("1023KiB").is_err());
    }

    #[test]
    fn decimals_are_exact() {
        for (text, millionths) in [
            ("5", 5_000_000),
            ("5.20", 5_200_000),
            ("0.000001", 1),
            ("1_000.5", 1_000_500_000),
            ("2.5000000", 2_500_000),
        ] {
            assert_eq!(decimal(text, 6), Some(millionths), "{text}");
        }
        for bad in ["", ".", "-1", "1e3", "0.0000001", "inf", "nan", "1.x", "+1"] {
            assert_eq!(decimal(bad, 6), None, "{bad}");
        }
        assert_eq!(decimal("99999999999999999999", 6), None);
    }

    #[test]
    fn reasons_are_known_by_their_words() {
        let set = reasons(&["timeout", "idle"]).unwrap();
        assert!(set.contains(FailureReason::Timeout) && set.contains(FailureReason::Idle));
        let wrong = reasons(&["time_out"]).unwrap_err();
        assert_eq!(
            wrong,
            "no failure reason \"time_out\": did you mean timeout?"
        );
        assert!(retryable(&["workspace_failed"]).is_ok());
        let wrong = retryable(&["cancelled"]).unwrap_err();
        assert!(wrong.starts_with("cancelled is not tried again"), "{wrong}");
        assert_eq!(reasons(&[]), Ok(Reasons::default()));
    }

    #[test]
    fn home_is_expanded_at_the_start_only() {
        let home = Some(Path::new("/home/ann"));
        assert_eq!(path("~/src", home), Ok(PathBuf::from("/home/ann/src")));
        assert_eq!(path("~", home), Ok(PathBuf::from("/home/ann/")));
        assert_eq!(path("/a/~/b", home), Ok(PathBuf::from("/a/~/b")));
        for bad in ["", "src", "~bob/src", "./x"] {
            assert!(path(bad, home).is_err(), "{bad}");
        }
        assert!(path("~/src", None).is_err());
        assert_eq!(
            search_path("~/bin:/usr/bin", home),
            Ok("/home/ann/bin:/usr/bin".to_owned())
        );
        assert!(search_path("/usr/bin:", home).is_err());
    }

    #[test]
    fn names_fit_labels_branches_and_paths() {
        for good in ["a", "claude-2", "A.b_c", &"x".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", ".a", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn only_a_near_word_is_suggested() {
        let words = ["max_running", "max_queued", "cache"];
        assert_eq!(nearest("max_runing", words), Some("max_running"));
        assert_eq!(nearest("cahce", words), Some("cache"));
        assert_eq!(nearest("colour", words), None);
    }
}
