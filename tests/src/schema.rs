//! Every document that a test reads keeps to its schema in `docs/schema`.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{LazyLock, Mutex, PoisonError},
};

use jsonschema::Validator;
use serde_json::Value;

static KNOWN: LazyLock<Mutex<HashMap<String, Validator>>> = LazyLock::new(Mutex::default);

/// Checks a document that names its schema.
///
/// # Panics
/// If it does not keep to it, or there is none of that name.
#[track_caller]
pub fn check(document: &Value) {
    let Some(name) = document["schema"].as_str() else {
        return;
    };
    let wrong: Vec<String> = {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let validator = known.entry(name.to_owned()).or_insert_with(|| read(name));
        let errors = validator.iter_errors(document);
        errors
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    };
    assert!(wrong.is_empty(), "{name}: {wrong:#?} in {document:#}");
}

fn read(name: &str) -> Validator {
    let file = name
        .strip_prefix("agentctl.")
        .or_else(|| name.strip_prefix("agentd."))
        .and_then(|name| name.split_once('/'))
        .map(|(what, version)| format!("{what}.{version}.json"));
    let file = file.unwrap_or_else(|| panic!("{name:?} is no name of a document"));
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema");
    let text = fs::read_to_string(docs.join(file)).expect("a document has a schema in the docs");
    let schema: Value = serde_json::from_str(&text).expect("a schema is JSON");
    jsonschema::validator_for(&schema).expect("it is a schema")
}
