//! `docs/schema` describes every document, and what is printed keeps to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};

use super::{Seen, Stage};
use crate::{
    command::{
        acts, agents, bulk::report, doctor, explain, prune, quota, schedules, service, status,
        usage, version, workspace::list,
    },
    output::{json::*, sessions},
    view::{AttemptView, EventView, SubmittedView, TaskDetail, TaskView},
};

/// What a document holds, by its name.
fn documents() -> BTreeMap<&'static str, Value> {
    // `show` tells more of a task than lists do.
    let mut task = of::<TaskDetail>(TASK);
    task["required"] = of::<TaskView>(TASK)["required"].take();
    BTreeMap::from([
        (TASK, task),
        (TASKS, of::<Tasks>(TASKS)),
        (ATTEMPT, of::<AttemptView>(ATTEMPT)),
        (EVENT, of::<EventView>(EVENT)),
        (EXPLANATION, of::<explain::View>(EXPLANATION)),
        (SCHEDULE, of::<schedules::ScheduleView>(SCHEDULE)),
        (SCHEDULES, of::<schedules::View>(SCHEDULES)),
        (SESSION, of::<sessions::SessionView>(SESSION)),
        (SESSIONS, of::<sessions::SessionViews>(SESSIONS)),
        (STATUS, of::<status::View>(STATUS)),
        (AGENT, of::<agents::AgentView>(AGENT)),
        (AGENTS, of::<agents::View>(AGENTS)),
        (RERUN, of::<report::Entry>(RERUN)),
        (RERUNS, of::<report::Reruns>(RERUNS)),
        (ACCOUNT, of::<quota::AccountView>(ACCOUNT)),
        (QUOTA, of::<quota::View>(QUOTA)),
        (USAGE_ROW, of::<usage::RowView>(USAGE_ROW)),
        (USAGE, of::<usage::View>(USAGE)),
        (WORKSPACE, of::<list::WorkspaceView>(WORKSPACE)),
        (WORKSPACES, of::<list::View>(WORKSPACES)),
        (DOCTOR, of::<doctor::View>(DOCTOR)),
        (SERVICE, of::<service::View>(SERVICE)),
        (VERSION, of::<version::View>(VERSION)),
        (SUBMITTED, of::<SubmittedView>(SUBMITTED)),
        (ACTED, of::<acts::ActedViews>(ACTED)),
        (ACTED_TASK, of::<acts::ActedView>(ACTED_TASK)),
        (PRUNED, of::<prune::View>(PRUNED)),
        (PRUNED_ITEM, of::<prune::ItemView>(PRUNED_ITEM)),
    ])
}

/// The schema of a view with its name in front.
fn of<T: JsonSchema>(name: &str) -> Value {
    let generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    schema["title"] = json!(name);
    schema["properties"]["schema"] = json!({ "const": name });
    let required = schema["required"].as_array_mut().unwrap();
    required.insert(0, json!("schema"));
    schema
}

fn file(name: &str) -> PathBuf {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema");
    let (what, version) = name
        .strip_prefix("agentctl.")
        .and_then(|name| name.split_once('/'))
        .unwrap();
    docs.join(format!("{what}.{version}.json"))
}

#[test]
fn every_document_has_its_schema_in_the_docs() {
    let named: BTreeSet<&str> = include_str!("../../output/json.rs")
        .split('"')
        .filter(|text| text.starts_with("agentctl.") && text.ends_with("/v1"))
        .collect();
    let documents = documents();
    let described: BTreeSet<&str> = documents.keys().copied().collect();
    assert_eq!(
        described, named,
        "a document without a schema, or the reverse"
    );
    for (name, schema) in documents {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if env::var_os("RENEW").is_some() {
            fs::create_dir_all(file(name).parent().unwrap()).unwrap();
            fs::write(file(name), &text).unwrap();
        }
        let kept = fs::read_to_string(file(name)).unwrap_or_default();
        assert!(
            kept == text,
            "{} is out of date: RENEW=1 cargo test -p agentctl --lib schema renews it; \
             a key that was renamed or removed needs v2",
            file(name).display()
        );
    }
    let kept = fs::read_dir(file(TASK).parent().unwrap()).unwrap();
    let kept = kept.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    // Others are of what agentd says.
    let own = kept.filter(|text| text.contains("\"const\": \"agentctl."));
    assert_eq!(own.count(), described.len(), "a schema of nothing");
}

#[test]
fn what_is_printed_keeps_to_its_schema() {
    let stage = Stage::new();
    let documents = documents();
    let mut seen = BTreeSet::new();
    for args in [
        &["ls"][..],
        &["show", "42"],
        &["show", "42.1"],
        &["show", "48"],
        &["explain", "42"],
        &["wait", "41", "42"],
        &["sessions"],
        &["sessions", "show", "0199"],
        &["workspace", "ls"],
        &["schedules"],
        &["quota"],
        &["usage", "--by", "repo"],
        &["agents"],
        &["status"],
        &["doctor"],
        &["service", "status"],
        &["version"],
        &["prune"],
        &["watch", "42"],
        &["rerun", "--unsuccessful", "--dry-run"],
        &["submit", "go"],
        &["cancel", "42", "45", "7"],
        &["hold", "49"],
    ] {
        for format in ["json", "jsonl"] {
            let one = matches!(
                args,
                [
                    "show" | "explain" | "status" | "version" | "doctor" | "service",
                    ..
                ]
            ) || args.starts_with(&["sessions", "show"]);
            if one && format == "jsonl" {
                continue;
            }
            let printed = stage.run(&[args, &["-o", format]].concat(), Seen::default());
            assert!(!printed.out.is_empty(), "{args:?}: {}", printed.err);
            for line in printed.out.lines() {
                let document: Value = serde_json::from_str(line).unwrap();
                let name = document["schema"].as_str().unwrap();
                let (name, schema) = documents.get_key_value(name).unwrap();
                let validator = jsonschema::validator_for(schema).unwrap();
                let wrong: Vec<String> = validator
                    .iter_errors(&document)
                    .map(|error| format!("{}: {error}", error.instance_path()))
                    .collect();
                assert!(wrong.is_empty(), "{args:?}: {wrong:#?}");
                unknown_keys(name, schema, &document);
                seen.insert(*name);
            }
        }
    }
    let all: BTreeSet<&str> = documents.keys().copied().collect();
    assert_eq!(seen, all, "a document that nothing prints");
}

/// Scripts are told of every key.
fn unknown_keys(name: &str, schema: &Value, document: &Value) {
    for key in document.as_object().unwrap().keys() {
        let known = schema["properties"].get(key).is_some();
        assert!(known, "{name} does not know {key}");
        let snake = key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(snake, "{name}: {key}");
    }
}
