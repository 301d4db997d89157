//! What the real agents make of limits and failures of their provider, and the
//! daemon of that.

use std::{
    io::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

use agentd_tests::{
    model::{Course, Reply, Script},
    wait_until,
};
use serde_json::Value;

use crate::{
    kind::{AGENTS, Kind},
    shop::Shop,
};

#[expect(
    clippy::disallowed_methods,
    reason = "a provider names its reset by the calendar's time"
)]
fn now() -> u64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH);
    passed.unwrap().as_secs()
}

/// The task has ended well, after attempts in one conversation.
#[track_caller]
fn in_one_session(shown: &Value, attempts: usize) {
    let all = shown["attempts"].as_array().unwrap();
    assert_eq!(all.len(), attempts, "{shown:#}");
    for attempt in all {
        assert_eq!(attempt["session"], all[0]["session"], "{shown:#}");
    }
    assert!(all[0]["session"].is_string(), "{shown:#}");
}

/// A task that was to have one attempt, and meets a limit after a tool, for as
/// long as the script is not changed: some agents repeat by themselves.
fn meets_limit(shop: &Shop, agent: Kind, limit: Reply) -> u64 {
    let script = Script::new([Reply::shell("true")]).otherwise(limit);
    shop.endpoint.set_script(script);
    shop.submit(agent, &["--max-attempts", "1", "mend it"])
}

/// Limits that an agent tells of, and how the daemon calls them.
fn limits(agent: Kind) -> Vec<(Reply, &'static str)> {
    let resets_at = now() + 2;
    let used_up = (Reply::UsageLimit { resets_at }, "usage_limit");
    let later = |seconds| (Reply::error(429).retry_after(seconds), "rate_limited");
    let some_time = (Reply::error(429), "rate_limited");
    match agent {
        // With a key, the limit of a subscription is one as any other.
        Kind::Claude => vec![later(3600), some_time],
        Kind::Codex => vec![later(3600), used_up],
        Kind::Gemini => vec![some_time, used_up],
        // It waits for as long as it is told, and asks five times more.
        Kind::Opencode => vec![later(1), some_time, used_up],
    }
}

/// How many seconds after the reset the account is opened.
fn late(account: &Value, resets_at: u64) -> i64 {
    let until: jiff::Timestamp = account["until"].as_str().unwrap().parse().unwrap();
    until.as_second() - i64::try_from(resets_at).unwrap()
}

/// Until the second, as a subscription says it.
#[test]
fn the_account_of_a_subscription_waits_for_its_reset() {
    let mut shop = Shop::new(Script::default());
    shop.change(
        "ANTHROPIC_API_KEY = 'key'",
        "CLAUDE_CODE_OAUTH_TOKEN = 'sk-ant-oat01-test'",
    );
    let (tool, gate) = shop.tool_at_gate("gate");
    shop.endpoint.set_script(Script::new([tool]));
    let task = shop.submit(Kind::Claude, &["--max-attempts", "1", "mend it"]);
    let mut waiting = gate.reached();
    // A refusal and the end of the program come before it.
    let resets_at = now() + 20;
    let limit = Reply::UsageLimit { resets_at };
    shop.endpoint.set_script(Script::new([limit]));
    waiting.write_all(b"\n").unwrap();
    shop.wait_reason(task, 1, "usage_limit");
    let account = shop.account("claude");
    assert_eq!(account["parked"], true, "{account:#}");
    // Not all at the same moment; without a time it would be a minute.
    assert!((0..=3).contains(&late(&account, resets_at)), "{account:#}");
    let shown = shop.daemon.show(task);
    assert_eq!(shown["hold"]["kind"], "quota", "{shown:#}");
    wait_until("it goes on by itself", || shop.endpoint.turns().len() == 3);
    assert!(now() >= resets_at);
    let shown = shop.well(task);
    in_one_session(&shown, 2);
    let story = shop.explain(task);
    assert!(story.contains("the attempt is not counted"), "{story}");
}

/// Codex says it in words, to the minute.
#[test]
fn the_reset_that_codex_names_is_kept_and_shown() {
    codex_waits_until(now() + 300);
}

/// A time of another day comes with its date and its year.
#[test]
fn the_reset_that_codex_names_is_of_another_day() {
    codex_waits_until(now() + 26 * 3600 + 300);
}

fn codex_waits_until(resets_at: u64) {
    let script = Script::always(Reply::UsageLimit { resets_at });
    let shop = Shop::new(script);
    let task = shop.submit(Kind::Codex, &["mend it"]);
    shop.wait_reason(task, 1, "usage_limit");
    let account = shop.account("codex");
    assert_eq!(account["parked"], true, "{account:#}");
    let late = late(&account, resets_at);
    assert!((-60..=300).contains(&late), "{late} s: {account:#}");
    let shown = shop.daemon.ctl(&["quota"]).ok();
    assert!(shown.text().contains("parked"), "{shown:?}");
}

/// As many as the daemon lets it: it is given no word about it here.
#[test]
fn claude_code_repeats_twice_by_itself() {
    let mut shop = Shop::new(Script::default());
    shop.change("CLAUDE_CODE_MAX_RETRIES = '0', ", "");
    let failure = || Reply::error(529).retry_after(0);
    for (failures, attempts) in [(2, 1), (3, 2)] {
        let before = shop.endpoint.turns().len();
        let failures = vec![failure(); failures];
        let asked = failures.len() + 1;
        shop.endpoint.set_script(Script::new(failures));
        let task = shop.succeeds(Kind::Claude, "mend it");
        let shown = shop.daemon.show(task);
        assert_eq!(shown["attempt_count"], attempts, "{shown:#}");
        assert_eq!(shop.endpoint.turns().len() - before, asked);
    }
}

#[test]
fn a_limit_spends_no_attempt() {
    for agent in AGENTS {
        for (limit, reason) in limits(agent) {
            let shop = Shop::new(Script::default());
            let task = meets_limit(&shop, agent, limit);
            shop.wait_reason(task, 1, reason);
            shop.endpoint.set_script(Script::default());
            let account = shop.account(agent.name());
            assert_eq!(account["strikes"], 1, "{account:#}");
            let _said = shop.daemon.ctl(&["quota", "clear", agent.name()]).ok();
            let shown = shop.well(task);
            in_one_session(&shown, 2);
            let turns = shop.endpoint.turns();
            assert_eq!(turns.last().unwrap().prompts()[0], "mend it");
        }
    }
}

#[test]
fn what_passes_is_tried_again_in_the_same_conversation() {
    for agent in AGENTS {
        // What it comes over by itself is no failure of its attempt.
        let times = if agent == Kind::Opencode { 6 } else { 1 };
        let at_once = |status| Reply::error(status).retry_after(0);
        for failure in [at_once(500), at_once(529), Reply::Hangup] {
            let failures = vec![failure.clone(); times];
            let script = [Reply::shell("true")].into_iter().chain(failures);
            let shop = Shop::new(Script::new(script));
            let task = shop.succeeds(agent, "mend it");
            let shown = shop.daemon.show(task);
            let first = &shown["attempts"][0];
            assert_eq!(
                first["failure_reason"], "provider_unreachable",
                "{agent}: {failure:?}: {first:#}"
            );
            in_one_session(&shown, 2);
        }
    }
}

#[test]
fn a_provider_that_is_not_there_is_waited_for() {
    for agent in AGENTS {
        let shop = Shop::new(Script::default());
        shop.endpoint.refuse();
        let task = shop.submit(agent, &["mend it"]);
        shop.wait_reason(task, 1, "provider_unreachable");
        shop.endpoint.listen_again();
        shop.well(task);
    }
}

#[test]
fn silence_is_ended_and_tried_again() {
    for agent in AGENTS {
        let mut shop = Shop::new(Script::default());
        shop.change("[defaults]\n", "[defaults]\nidle_timeout = '4s'\n");
        let silent = Reply::text("half of it").course(Course::Silent);
        shop.endpoint
            .set_script(Script::new([Reply::shell("true"), silent]));
        let task = shop.succeeds(agent, "mend it");
        let shown = shop.daemon.show(task);
        let first = &shown["attempts"][0];
        assert_eq!(first["failure_reason"], "idle", "{first:#}");
        in_one_session(&shown, 2);
    }
}

#[test]
fn half_an_answer_is_never_a_success() {
    for agent in AGENTS {
        for course in [Course::Cut, Course::Short, Course::Fails] {
            let half = Reply::text("half of it").course(course);
            let shop = Shop::new(Script::always(half));
            let task = shop.submit(agent, &["--max-attempts", "1", "mend it"]);
            let shown = shop.ended(task);
            assert_eq!(shown["state"], "failed", "{course:?}: {shown:#}");
            let reason = &shown["failure_reason"];
            assert_eq!(reason, "provider_unreachable", "{course:?}: {shown:#}");
        }
    }
}
