//! A strict reader of both text forms: what it takes, every other one takes, too.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Format;

/// Labels as they were written, without those of buckets.
pub(crate) type Labels = BTreeMap<String, String>;

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) value: f64,
}

/// What stands under one name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) kind: String,
    pub(crate) samples: Vec<Sample>,
}

impl Family {
    /// The value of the sample with these labels and no others.
    pub(crate) fn value(&self, labels: &[(&str, &str)]) -> Option<f64> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let labels: Labels = labels.iter().map(owned).collect();
        let mut found = self.samples.iter().filter(|sample| sample.labels == labels);
        found.next().map(|sample| sample.value)
    }
}

/// Reads a whole page.
///
/// # Errors
/// The first thing that is not as the format says.
pub(crate) fn parse(text: &str, format: Format) -> Result<Vec<Family>, String> {
    let mut body = text.strip_suffix('\n').ok_or("no newline at the end")?;
    if format == Format::OpenMetrics {
        body = body.strip_suffix("\n# EOF").ok_or("no # EOF at the end")?;
    }
    let mut families: Vec<Family> = Vec::new();
    let mut lines = body.split('\n').peekable();
    while let Some(line) = lines.next() {
        let (name, help) = described(line, "# HELP ")?;
        let kind = lines.next().ok_or("no type")?;
        let (typed, kind) = described(kind, "# TYPE ")?;
        if typed != name {
            return Err(format!("{name} is followed by the type of {typed}"));
        }
        let mut samples = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            samples.push(sample(line).map_err(|why| format!("{line}: {why}"))?);
        }
        let family = Family {
            name: name.to_owned(),
            help: help.to_owned(),
            kind: kind.to_owned(),
            samples,
        };
        sound(&family, format).map_err(|why| format!("{name}: {why}"))?;
        if families.iter().any(|known| known.name == name) {
            return Err(format!("{name} comes twice"));
        }
        families.push(family);
    }
    Ok(families)
}

fn described<'a>(line: &'a str, begin: &str) -> Result<(&'a str, &'a str), String> {
    let told = line
        .strip_prefix(begin)
        .ok_or(format!("{line:?} is no {begin}"))?;
    told.split_once(' ').ok_or(format!("{line:?} says nothing"))
}

fn is_word(text: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().all(part)
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && !text.is_empty()
}

fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    if !is_word(name) {
        return Err("no name".to_owned());
    }
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or("a label without a value")?;
            if !is_word(label) {
                return Err(format!("{label:?} is no label"));
            }
            let (value, after) = quoted(after)?;
            if value.is_empty() {
                return Err(format!("{label} is empty, and so is not there"));
            }
            if labels.insert(label.to_owned(), value).is_some() {
                return Err(format!("{label} comes twice"));
            }
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    rest = after.strip_prefix('}').ok_or("no end of the labels")?;
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').ok_or("no value")?;
    let number = |byte: u8| byte.is_ascii_digit() || b"+-.e".contains(&byte);
    if value.is_empty() || !value.bytes().all(number) {
        return Err(format!("{value:?} is no number"));
    }
    Ok(Sample {
        name: name.to_owned(),
        labels,
        value: value
            .parse()
            .map_err(|error| format!("{value:?}: {error}"))?,
    })
}

/// A value and what follows its quote.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                _ => return Err("a backslash before something else".to_owned()),
            },
            other => value.push(other),
        }
    }
    Err("a quote that does not end".to_owned())
}

/// The rules of its type.
fn sound(family: &Family, format: Format) -> Result<(), String> {
    let Family {
        name,
        kind,
        samples,
        ..
    } = family;
    if samples.is_empty() {
        return Err("no sample".to_owned());
    }
    let open = format == Format::OpenMetrics;
    let of_sample = match kind.as_str() {
        "counter" if open => format!("{name}_total"),
        "info" if open => format!("{name}_info"),
        "counter" | "gauge" | "histogram" => name.clone(),
        _ => return Err(format!("no type {kind:?}")),
    };
    if !is_word(name) || (kind == "counter" && !of_sample.ends_with("_total")) {
        return Err("the name is not one of its type".to_owned());
    }
    if kind == "histogram" {
        return histogram(name, samples);
    }
    let mut seen = BTreeSet::new();
    for sample in samples {
        if sample.name != of_sample {
            return Err(format!("{} stands in it", sample.name));
        }
        if !seen.insert(&sample.labels) {
            return Err(format!("{:?} comes twice", sample.labels));
        }
        if !sample.labels.keys().eq(samples[0].labels.keys()) {
            return Err(format!("{:?} has other labels", sample.labels));
        }
        if kind == "counter" && sample.value < 0.0 {
            return Err("a counter is below 0".to_owned());
        }
    }
    Ok(())
}

/// One histogram.
#[derive(Default)]
struct Parts {
    /// Upper bounds and what is below them.
    buckets: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
}

/// Of each set of labels: buckets that are ordered and grow up to +Inf, which is
/// the count, and a sum.
fn histogram(name: &str, samples: &[Sample]) -> Result<(), String> {
    let mut of: BTreeMap<Labels, Parts> = BTreeMap::new();
    for sample in samples {
        let mut labels = sample.labels.clone();
        let bound = labels.remove("le");
        let parts = of.entry(labels).or_default();
        let part = sample.name.strip_prefix(name).unwrap_or_default();
        let before = match (part, bound) {
            ("_bucket", Some(bound)) => {
                let bound = bound.parse().map_err(|_| format!("le is {bound:?}"))?;
                parts.buckets.push((bound, sample.value));
                None
            }
            ("_sum", None) => parts.sum.replace(sample.value),
            ("_count", None) => parts.count.replace(sample.value),
            _ => return Err(format!("{} stands in it", sample.name)),
        };
        if before.is_some() {
            return Err(format!("{} comes twice", sample.name));
        }
    }
    for (labels, parts) in of {
        let Parts {
            buckets,
            sum,
            count,
        } = parts;
        let ordered = buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
        let last = buckets.last().copied();
        if !ordered || sum.is_none() || count.is_none() || last.map(|last| last.1) != count {
            return Err(format!("{labels:?} does not add up"));
        }
        if last.is_none_or(|last| last.0 != f64::INFINITY) {
            return Err(format!("{labels:?} has no +Inf"));
        }
    }
    Ok(())
}

#[test]
fn what_is_not_the_format_is_refused() {
    let good = "# HELP a_total A\n# TYPE a_total counter\na_total{b=\"c\\\"\"} 1\n";
    assert_eq!(parse(good, Format::Prometheus).map(|all| all.len()), Ok(1));
    for bad in [
        "",
        "# HELP a A\n# TYPE a counter\na 1\n",
        "# HELP a A\n# TYPE b gauge\na 1\n",
        "# HELP a A\n# TYPE a gauge\n",
        "# HELP a A\n# TYPE a gauge\na 1",
        "# HELP a A\n# TYPE a gauge\nb 1\n",
        "# HELP a A\n# TYPE a gauge\na 1\na 2\n",
        "# HELP a A\n# TYPE a gauge\na{b=\"c\"} 1\na 2\n",
        "# HELP a A\n# TYPE a gauge\na{b=\"\"} 1\n",
        "# HELP a A\n# TYPE a gauge\na{b=\"c} 1\n",
        "# HELP a A\n# TYPE a gauge\na{b=\"c\\d\"} 1\n",
        "# HELP a A\n# TYPE a gauge\na{b=\"c\",b=\"d\"} 1\n",
        "# HELP a A\n# TYPE a gauge\na NaN\n",
        "# HELP a A\n# TYPE a gauge\na 1 2\n",
        "# HELP a A\n# TYPE a info\na 1\n",
        "# HELP a A\n# TYPE a gauge\na 1\n# HELP a A\n# TYPE a gauge\na 1\n",
        "# HELP a A\n# TYPE a histogram\na_sum 1\na_count 1\na_bucket{le=\"1\"} 1\n",
        "# HELP a A\n# TYPE a histogram\na_sum 1\na_count 2\na_bucket{le=\"+Inf\"} 1\n",
        "# HELP a A\n# TYPE a histogram\na_sum 1\na_count 1\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\n",
    ] {
        assert!(parse(bad, Format::Prometheus).is_err(), "{bad}");
        assert!(parse(good, Format::OpenMetrics).is_err(), "no # EOF");
    }
}
