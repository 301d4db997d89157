//! The page as a whole: its names, its forms, its bounds.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    super::*,
    eventful, look, metrics, nothing, page,
    parse::{Family, parse},
};
use crate::task::id::Timestamp;

const BOTH: [Format; 2] = [Format::Prometheus, Format::OpenMetrics];

#[test]
fn every_name_is_told_as_it_was() {
    let names = page(&eventful(), look()).into_iter();
    let lines = names.map(
        |Family {
             name, help, kind, ..
         }| format!("{name} ({kind}): {help}"),
    );
    let lines: Vec<_> = lines.collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn both_forms_tell_the_same() {
    let metrics = eventful();
    let [plain, open] = BOTH.map(|format| {
        let text = metrics.text(look(), format);
        let families = parse(&text, format).unwrap_or_else(|why| panic!("{why}\n{text}"));
        families
            .into_iter()
            .flat_map(|family| family.samples)
            .collect::<Vec<_>>()
    });
    assert_eq!(plain, open);
    assert!(plain.len() > 200, "{}", plain.len());
}

/// <https://prometheus.io/docs/practices/naming/>
#[test]
fn names_follow_the_rules() {
    let units = [
        "_ms",
        "_millis",
        "_milliseconds",
        "_minutes",
        "_hours",
        "_kb",
        "_kib",
        "_mib",
        "_percent",
    ];
    for Family {
        name,
        help,
        kind,
        samples,
    } in page(&eventful(), look())
    {
        assert!(
            name.starts_with("agentd_") && !name.contains("__"),
            "{name}"
        );
        assert!(!name.chars().any(char::is_uppercase), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        for end in ["_count", "_sum", "_bucket"] {
            assert!(
                !name.ends_with(end),
                "{name} looks like a part of a histogram"
            );
        }
        let bare = name.trim_end_matches("_total");
        assert!(
            !units.iter().any(|unit| bare.ends_with(unit)),
            "{name} has no base unit"
        );
        assert!(
            help.starts_with(|first: char| first.is_uppercase() || first.is_ascii_digit()),
            "{name}: {help}"
        );
        assert!(
            help.len() > 10 && !help.ends_with('.') && !help.contains('\\'),
            "{name}: {help}"
        );
        let labels: BTreeSet<_> = samples
            .iter()
            .flat_map(|sample| sample.labels.keys())
            .collect();
        let known = [
            "account", "agent", "kind", "le", "outcome", "phase", "reason", "result", "state",
            "trigger", "version",
        ];
        assert!(
            labels.iter().all(|label| known.contains(&label.as_str())),
            "{name} {labels:?}"
        );
    }
}

/// What is watched by rules that somebody has copied has to be there.
#[test]
fn the_guide_names_what_is_told() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/upkeep.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let told = page(&eventful(), look());
    let told: BTreeSet<&str> = told.iter().map(|family| family.name.as_str()).collect();
    let words = guide.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    let named: BTreeSet<&str> = words.filter(|word| word.starts_with("agentd_")).collect();
    assert!(named.len() > 8, "{named:?}");
    for name in named {
        let family = name.trim_end_matches("_bucket");
        assert!(told.contains(family), "{name} of the guide is not told");
    }
}

#[test]
fn what_cannot_be_found_out_is_not_told() {
    let told = page(&metrics(&[]), nothing());
    for name in [
        "agentd_process_threads",
        "agentd_store_tasks",
        "agentd_paused",
        "agentd_backup_size_bytes",
    ] {
        assert!(!told.iter().any(|family| family.name == name), "{name}");
    }
    assert!(
        told.iter()
            .any(|family| family.name == "agentd_store_failures_total")
    );
}

proptest! {
    /// Whatever texts of others are in it, and whatever is not known.
    #[test]
    fn every_page_can_be_read(
        names in prop::collection::btree_set("[^\0]{1,8}|[\\\\\"\n\r ]{1,3}", 0..4),
        parked in any::<Option<i32>>(),
        paused in any::<Option<bool>>(),
        figure in any::<u64>(),
    ) {
        let names: Vec<String> = names.into_iter().collect();
        let metrics = Arc::new(Metrics::default());
        metrics.recount(names.iter().map(String::as_str), []);
        let until = parked.map(|at| Timestamp(at.into()));
        let look = Look {
            version: "1",
            paused,
            agents: names.iter().map(|name| LookedAgent { name: name.clone(), slots: 1, paused }).collect(),
            accounts: parked.map(|_| names.iter().map(|name| (name.clone(), until)).collect()),
            store_bytes: figure,
            state_free: paused.map(|_| figure),
            ..look()
        };
        for format in BOTH {
            let text = metrics.text(look.clone(), format);
            let told = parse(&text, format).map_err(TestCaseError::fail)?;
            let of_agents = told.iter().find(|family| family.name == "agentd_tasks").unwrap();
            prop_assert_eq!(of_agents.samples.len(), 4 * (names.len() + 1));
        }
    }
}
