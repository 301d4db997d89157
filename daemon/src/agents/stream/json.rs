//! Objects of JSON, looked at by key.
//!
//! What is not asked for is passed over without being kept, so a line costs
//! little more memory than it has bytes; and what is of another kind than was
//! expected is as good as absent: formats change between versions.

use std::{borrow::Cow, fmt, mem};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// Keys of one object that are kept.
const MAX_KEYS: usize = 256;
/// Items of one list that are kept.
const MAX_ITEMS: usize = 256;

/// The text of a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Json<'a>(&'a RawValue);

impl<'a> Json<'a> {
    /// The value that is the whole of a text.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    pub(super) fn object(self) -> Object<'a> {
        Object(self.read::<Fields<'a>>().unwrap_or_default().0)
    }

    pub(super) fn items(self) -> Vec<Self> {
        let items = self.read::<Items<'a>>().unwrap_or_default();
        items.0.into_iter().map(Self).collect()
    }

    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        self.read::<Text<'a>>().map(|text| text.0)
    }

    fn read<T: Deserialize<'a>>(self) -> Option<T> {
        serde_json::from_str(self.0.get()).ok()
    }
}

/// The keys and values of an object.
#[derive(Debug, Default)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    pub(super) fn get(&self, key: &str) -> Option<Json<'a>> {
        // Of a key that comes twice, the last counts.
        let found = self.0.iter().rfind(|(name, _)| name == key);
        found.map(|(_, value)| Json(value))
    }

    /// The object behind a key; an empty one if there is none.
    pub(super) fn object(&self, key: &str) -> Self {
        self.get(key).map(Json::object).unwrap_or_default()
    }

    pub(super) fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        self.get(key)?.text()
    }

    pub(super) fn is(&self, key: &str, word: &str) -> bool {
        self.text(key).is_some_and(|text| text == word)
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.get(key)?.read()
    }

    /// A whole number; whatever is none, or is negative, is absent.
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.read()
    }

    /// Money in dollars, as millionths of one.
    pub(super) fn dollars(&self, key: &str) -> Option<u64> {
        let dollars: f64 = self.get(key)?.read()?;
        let micros = (dollars * 1e6).round();
        // More than this is no price.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole, not negative, and small"
        )]
        (0.0..1e15).contains(&micros).then_some(micros as u64)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = Json<'a>> {
        self.0.iter().map(|(_, value)| Json(value))
    }
}

/// Keys and values, each as its text.
#[derive(Default)]
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Keep;
        impl<'de> Visitor<'de> for Keep {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while fields.len() < MAX_KEYS {
                    let Some(key) = map.next_key::<Text<'de>>()? else {
                        return Ok(Fields(fields));
                    };
                    fields.push((key.0, map.next_value()?));
                }
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(Keep)
    }
}

/// The items of a list, each as its text.
#[derive(Default)]
struct Items<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Keep;
        impl<'de> Visitor<'de> for Keep {
            type Value = Items<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Items<'de>, A::Error> {
                let mut items = Vec::new();
                while items.len() < MAX_ITEMS {
                    let Some(item) = seq.next_element()? else {
                        return Ok(Items(items));
                    };
                    items.push(item);
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Items(items))
            }
        }
        from.deserialize_seq(Keep)
    }
}

/// A text, borrowed if it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Keep;
        impl<'de> Visitor<'de> for Keep {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_string<E>(self, mut text: String) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(mem::take(&mut text))))
            }
        }
        from.deserialize_str(Keep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_another_kind_is_absent() {
        let text =
            r#"{"a":"x\ny","n":7,"m":-1,"f":1.5e-2,"l":[1,"two",{}],"o":{"b":true},"a":"z"}"#;
        let object = Json::parse(text).unwrap().object();
        assert_eq!(object.text("a").as_deref(), Some("z"), "the last counts");
        assert_eq!((object.number("n"), object.number("m")), (Some(7), None));
        assert_eq!(object.dollars("f"), Some(15_000));
        assert_eq!((object.dollars("m"), object.dollars("a")), (None, None));
        assert_eq!(object.get("l").unwrap().items().len(), 3);
        assert_eq!(object.object("o").flag("b"), Some(true));
        assert_eq!(object.object("l").flag("b"), None);
        assert_eq!((object.text("n"), object.flag("a")), (None, None));
        assert!(object.is("a", "z") && !object.is("o", "z"));
        assert!(object.get("n").unwrap().items().is_empty());
        for none in ["", "{", "nul", r#"{"a":1} x"#] {
            assert!(Json::parse(none).is_none(), "{none}");
        }
        assert!(Json::parse("[1]").unwrap().object().get("a").is_none());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let keys: Vec<String> = (0..1000).map(|n| format!("\"k{n}\":[{n}]")).collect();
        let text = format!("{{{}}}", keys.join(","));
        let object = Json::parse(&text).unwrap().object();
        assert_eq!(object.values().count(), MAX_KEYS);
        let list = format!("[{}]", vec!["0"; 1000].join(","));
        assert_eq!(Json::parse(&list).unwrap().items().len(), MAX_ITEMS);
        // As deep as can be; nothing recurses into what nobody asks for.
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Json::parse(&deep).is_none_or(|json| json.object().text("a").is_none()));
    }
}
