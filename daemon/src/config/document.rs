//! What sections of a TOML document are read with: each value with its place
//! and the full path of its key, each mistake as a problem.

use std::{ops::RangeInclusive, path::Path};

use toml::de::{DeTable, DeValue};

use super::{error::ConfigError, error::Problem, value};
use crate::task::limits::MAX_TEXT;
/// A table and the path of its key.
pub(super) struct Section<'t> {
    pub(super) path: String,
    pub(super) at: usize,
    pub(super) table: &'t DeTable<'t>,
}

/// A value and the path of its key.
pub(super) struct Field<'t> {
    pub(super) path: String,
    pub(super) at: usize,
    pub(super) value: &'t DeValue<'t>,
}

impl<'t> Section<'t> {
    pub(super) fn field(&self, key: &str) -> Option<Field<'t>> {
        let value = self.table.get(key)?;
        Some(Field {
            path: self.path_of(key),
            at: value.span().start,
            value: value.get_ref(),
        })
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        let key = shown(key);
        if self.path.is_empty() {
            key
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

/// What is wrong with a text: byte and message.
#[derive(Default)]
pub(super) struct Problems(Vec<(usize, String)>);

impl Problems {
    pub(super) fn section<'a>(&mut self, parent: &Section<'a>, key: &str) -> Option<Section<'a>> {
        let field = parent.field(key)?;
        let at = parent
            .table
            .get_key_value(key)
            .map_or(field.at, |(key, _)| key.span().start);
        let Some(table) = field.value.as_table() else {
            self.wrong_type(&field, "a table");
            return None;
        };
        let path = field.path;
        Some(Section { path, at, table })
    }

    /// The tables of `[key.NAME]`.
    pub(super) fn named<'a>(&mut self, top: &Section<'a>, key: &str) -> Vec<(String, Section<'a>)> {
        let Some(all) = self.section(top, key) else {
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (name, _) in all.table {
            let at = name.span().start;
            let name: &str = name.get_ref();
            if !value::is_name(name) {
                let rule = "a name has 1 to 64 letters, digits, dots, underscores and hyphens, \
                            and begins with a letter or digit";
                self.problem(at, format!("{key}.{name:?}: {rule}"));
                continue;
            }
            if let Some(section) = self.section(&all, name) {
                sections.push((name.to_owned(), section));
            }
        }
        sections
    }

    pub(super) fn unknown_keys(&mut self, section: &Section<'_>, known: &[&str]) {
        for (key, _) in section.table {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let path = section.path_of(name);
                let hint = value::suggest(name, known);
                self.problem(key.span().start, format!("unknown key {path}{hint}"));
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn count(
        &mut self,
        section: &Section<'_>,
        key: &str,
        bounds: RangeInclusive<u64>,
    ) -> Option<u32> {
        u32::try_from(self.large_count(section, key, bounds)?).ok()
    }

    /// The same of larger numbers.
    pub(super) fn large_count(
        &mut self,
        section: &Section<'_>,
        key: &str,
        bounds: RangeInclusive<u64>,
    ) -> Option<u64> {
        let field = section.field(key)?;
        let DeValue::Integer(number) = field.value else {
            self.wrong_type(&field, "a whole number");
            return None;
        };
        let value = u64::from_str_radix(number.as_str(), number.radix()).ok();
        let found = value.filter(|value| bounds.contains(value));
        if found.is_none() {
            let (low, high) = bounds.into_inner();
            let path = &field.path;
            let message = format!("{path}: expected {low} to {high}, found {number}");
            self.problem(field.at, message);
        }
        found
    }

    /// A number with at most so many decimals, as a whole number of the last.
    pub(super) fn decimal(
        &mut self,
        section: &Section<'_>,
        key: &str,
        decimals: usize,
        bounds: RangeInclusive<u64>,
        expected: &str,
    ) -> Option<u64> {
        let field = section.field(key)?;
        let text = match field.value {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            DeValue::Integer(_)
            | DeValue::String(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => {
                self.wrong_type(&field, "a number");
                return None;
            }
        };
        let value = value::decimal(text, decimals);
        let found = value.filter(|value| bounds.contains(value));
        if found.is_none() {
            let message = format!("{}: expected {expected}, found {text}", field.path);
            self.problem(field.at, message);
        }
        found
    }

    /// A whole number, of either sign.
    pub(super) fn integer(&mut self, section: &Section<'_>, key: &str) -> Option<i32> {
        let field = section.field(key)?;
        let number = match field.value {
            DeValue::Integer(number) => i32::from_str_radix(number.as_str(), number.radix()).ok(),
            DeValue::String(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        };
        if number.is_none() {
            self.wrong_type(&field, "a whole number of 32 bits");
        }
        number
    }

    /// true or false.
    pub(super) fn switch(&mut self, section: &Section<'_>, key: &str) -> Option<bool> {
        let field = section.field(key)?;
        let on = field.value.as_bool();
        if on.is_none() {
            self.wrong_type(&field, "true or false");
        }
        on
    }

    /// A short text that is not empty.
    pub(super) fn text(&mut self, section: &Section<'_>, key: &str) -> Option<String> {
        self.word(section, key, |text| Ok(text.to_owned()))
    }

    /// A short text that means something.
    pub(super) fn word<T>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let field = section.field(key)?;
        let Some(text) = field.value.as_str() else {
            self.wrong_type(&field, "a string");
            return None;
        };
        let parsed = match text {
            "" => Err("is empty".to_owned()),
            text if text.len() > MAX_TEXT => Err(format!("longer than {MAX_TEXT} bytes")),
            text if text.chars().any(char::is_control) => {
                Err("holds a control character".to_owned())
            }
            text => parse(text),
        };
        match parsed {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.problem(field.at, format!("{}: {wrong}", field.path));
                None
            }
        }
    }

    /// An array of strings.
    pub(super) fn words(&mut self, section: &Section<'_>, key: &str) -> Option<Vec<String>> {
        let field = section.field(key)?;
        let Some(items) = field.value.as_array() else {
            self.wrong_type(&field, "an array of strings");
            return None;
        };
        let items = items.iter().enumerate().map(|(index, item)| Field {
            path: format!("{}[{index}]", field.path),
            at: item.span().start,
            value: item.get_ref(),
        });
        Some(items.filter_map(|item| self.string(&item)).collect())
    }

    /// A string that a process can be given.
    pub(super) fn string(&mut self, field: &Field<'_>) -> Option<String> {
        match field.value.as_str() {
            None => self.wrong_type(field, "a string"),
            Some(text) if text.contains('\0') => {
                self.problem(field.at, format!("{}: holds a NUL character", field.path));
            }
            Some(text) => return Some(text.to_owned()),
        }
        None
    }

    pub(super) fn missing(&mut self, section: &Section<'_>, key: &str) {
        self.problem(section.at, format!("{} is missing", section.path_of(key)));
    }

    pub(super) fn reject(&mut self, section: &Section<'_>, key: &str, wrong: &str) {
        let at = section.field(key).map_or(section.at, |field| field.at);
        self.problem(at, format!("{}: {wrong}", section.path_of(key)));
    }

    /// Says what a value should have been.
    fn wrong_type(&mut self, field: &Field<'_>, expected: &str) {
        let found = match field.value.type_str() {
            word @ ("integer" | "array") => format!("an {word}"),
            word => format!("a {word}"),
        };
        let path = &field.path;
        self.problem(
            field.at,
            format!("{path}: expected {expected}, found {found}"),
        );
    }

    pub(super) fn problem(&mut self, at: usize, message: String) {
        self.0.push((at, message));
    }

    /// An error if there are any, in the order of the text.
    pub(super) fn finish(mut self, file: &Path, text: &str) -> Result<(), ConfigError> {
        if self.0.is_empty() {
            return Ok(());
        }
        self.0.sort();
        self.0.dedup();
        let place = |(at, message)| Problem::new(file, text, at, message);
        Err(ConfigError::Invalid(
            self.0.into_iter().map(place).collect(),
        ))
    }
}

/// A key as it would be written: in quotes where it needs them.
fn shown(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if !key.is_empty() && key.chars().all(bare) {
        key.to_owned()
    } else {
        format!("{key:?}")
    }
}
