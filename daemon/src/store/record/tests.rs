use super::*;
use crate::task::{
    attempt::{Attempt, Changes, Exit, Phase, ProcessIdentity, Status, Workspace},
    budget::Spend,
    dependency::{After, Condition},
    id::{AttemptId, Incarnation, Nonce},
    limits::Limits,
    moment::Moment,
    observed::{Claim, Fault, Limited, Observed},
    quota::Account,
    retry::Policy,
    session::{Given, Place, Session, Standing, Way},
    spec::{AgentType, TaskSpec, Trigger, WorkspaceMode, WorkspaceReuse},
    state::{Hold, State, StopReason, Task},
    testing,
    usage::Usage,
};

fn full_task() -> Task {
    let mut task = testing::task(7);
    task.revision = Revision(99);
    task.spec = TaskSpec {
        trigger: Trigger::Rerun,
        rerun_of: Some(testing::id(3)),
        lineage: Some(testing::id(2)),
        request_id: Some("r-1".to_owned()),
        agent: "claude".to_owned(),
        agent_type: AgentType::Command,
        model: Some("m".to_owned()),
        title: "fix it".to_owned(),
        repo: Some("/src/app".into()),
        issue: Some("12".to_owned()),
        user: "ann".to_owned(),
        labels: [("k".to_owned(), "v".to_owned())].into(),
        priority: -5,
        limits: Limits {
            start_timeout: Some(1),
            timeout: Some(2),
            kill_grace: Some(0),
            max_attempts: Some(4),
            ..Limits::default()
        },
        retry: Policy::default(),
        forgiven: Spend::default(),
        workspace_mode: WorkspaceMode::Worktree,
        fresh: false,
        workspace_reuse: WorkspaceReuse::Keep,
        not_before: None,
        after: Vec::new(),
        created_at: Timestamp(1_700_000_000_000),
        created_steady: None,
    };
    task.state = State::Finished(Ending {
        outcome: Outcome::Failed,
        reason: Some(FailureReason::AgentError),
        message: "exit code 3".to_owned(),
        at: Timestamp(1_700_000_000_500),
    });
    task.attempts = 2;
    task.spent = 1;
    task.lost_streak = 1;
    task
}

fn full_attempt() -> Attempt {
    Attempt {
        id: AttemptId {
            task: testing::id(7),
            number: 2,
        },
        epoch: Incarnation(5),
        nonce: Nonce([9; 16]),
        boot_id: "boot".to_owned(),
        phase: Phase::Ended,
        workspace: Some(testing::workspace()),
        given: Given::default(),
        runner: Some(testing::process(10)),
        agent: Some(ProcessIdentity {
            boot_id: "other".to_owned(),
            ..testing::process(11)
        }),
        claimed_at: Moment::of_wall(Timestamp(1)),
        prepared_at: None,
        started_at: Some(Moment::of_wall(Timestamp(2))),
        observed: Observed::default(),
        reported: Observed::default(),
        news: 0,
        exit: Some(Exit {
            status: Status::Signal {
                number: 9,
                core: true,
            },
            user_cpu: 3,
            system_cpu: 4,
            peak_memory: 5,
            oom_killed: false,
        }),
        ending: Some(Ending {
            outcome: Outcome::Interrupted,
            reason: Some(FailureReason::RunnerLost),
            message: "the runner died".to_owned(),
            at: Timestamp(6),
        }),
        account: String::new(),
        before: Spend::default(),
        ran: 0,
        changes: None,
        pruned_at: None,
    }
}

fn full_policy() -> Policy {
    Policy {
        initial_interval: Some(1),
        backoff_coefficient: Some(1_500),
        maximum_interval: Some(3),
        retry_on: Some([].into_iter().collect()),
        non_retryable: Some(FailureReason::ALL.iter().copied().collect()),
    }
}

fn full_observed() -> Observed {
    Observed {
        session: Some("s-1".to_owned()),
        session_gone: Some("s-0".to_owned()),
        usage: Some(Usage {
            input: 1,
            output: 2,
            cached: 3,
            cost: Some(4),
            turns: 5,
        }),
        model: Some("m".to_owned()),
        progress: Some("half".to_owned()),
        limited: Some(Limited {
            reason: FailureReason::UsageLimit,
            until: Some(Timestamp(9)),
            message: "later".to_owned(),
        }),
        fault: Some(Fault {
            reason: FailureReason::AuthFailed,
            message: "log in".to_owned(),
        }),
        declined: None,
        claim: Some(Claim {
            done: true,
            message: "done".to_owned(),
        }),
    }
}

fn full_session() -> Session {
    let attempt = |number| AttemptId {
        task: testing::id(7),
        number,
    };
    Session {
        used: Usage {
            output: 7,
            ..Usage::default()
        },
        id: "s-1".to_owned(),
        agent: "claude".to_owned(),
        agent_type: AgentType::Command,
        model: Some("m".to_owned()),
        key: "claude:/src/app:12".to_owned(),
        workspace: "/w".into(),
        place: Some(Place {
            device: 3,
            inode: 4,
        }),
        first: attempt(1),
        attempt: attempt(2),
        user: Some(attempt(3)),
        standing: Standing::Quarantined,
        why: "context_overflow in attempt 7.2".to_owned(),
        made_at: Timestamp(5),
        changed_at: Timestamp(6),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_is_encoded_is_decoded() {
    let mut task = full_task();
    task.spec.limits.memory = Some(1 << 40);
    task.spec.limits.pids = Some(5);
    task.spec.limits.cpu = Some(1500);
    task.spec.retry = full_policy();
    task.session_failures = 1;
    task.superseded_by = Some(testing::id(9));
    task.spec.fresh = true;
    let after = |number, condition| After {
        task: testing::id(number),
        condition,
    };
    task.spec.not_before = Some(Moment::of_wall(Timestamp(-3)));
    task.spec.after = vec![after(1, Condition::Success), after(2, Condition::End)];
    task.waits_for = vec![after(2, Condition::End)];
    task.queued_since = Some(Moment::of_wall(Timestamp(0)));
    for state in [
        task.state.clone(),
        State::Queued(Hold::None),
        State::Queued(Hold::Backoff {
            until: Moment::of_wall(Timestamp(0)),
        }),
        State::Queued(Hold::Scheduled {
            until: Moment::of_wall(Timestamp(0)),
        }),
        State::Queued(Hold::Held { by: String::new() }),
        State::Starting,
        State::Running,
        State::Stopping {
            reason: StopReason::Timeout,
            forced: true,
        },
    ] {
        task.state = state;
        assert_eq!(decode_task(task.id, &encode_task(&task)).unwrap(), task);
    }
    let mut attempt = full_attempt();
    attempt.observed = full_observed();
    attempt.reported.declined = Some("not mine".to_owned());
    attempt.news = 3;
    assert_eq!(
        decode_attempt(attempt.id, &encode_attempt(&attempt)).unwrap(),
        attempt
    );
    for way in [
        Way::Fresh,
        Way::Gone,
        Way::Minted,
        Way::Chosen,
        Way::Seen,
        Way::Unseen,
    ] {
        attempt.given = Given {
            way,
            session: Some("s-1".to_owned()),
            why: "so".to_owned(),
            place: full_session().place,
        };
        assert_eq!(
            decode_attempt(attempt.id, &encode_attempt(&attempt)).unwrap(),
            attempt
        );
    }
    let bare_session = Session {
        model: None,
        place: None,
        user: None,
        ..full_session()
    };
    for session in [full_session(), bare_session] {
        let row = encode_session(&session, 9);
        assert_eq!(decode_session("claude", "s-1", &row), Ok((session, 9)));
    }
    let mut bare = full_attempt();
    bare.exit = bare.exit.map(|exit| Exit {
        status: Status::Code(0),
        oom_killed: true,
        ..exit
    });
    bare.workspace = None;
    bare.ending = None;
    assert_eq!(
        decode_attempt(bare.id, &encode_attempt(&bare)).unwrap(),
        bare
    );
}

/// What was added after the first rows were written.
#[test]
fn what_an_attempt_left_is_kept() {
    let mut task = full_task();
    for reuse in [WorkspaceReuse::Reset, WorkspaceReuse::Fresh] {
        task.spec.workspace_reuse = reuse;
        assert_eq!(decode_task(task.id, &encode_task(&task)).unwrap(), task);
    }
    let mut attempt = full_attempt();
    attempt.workspace = Some(Workspace {
        head: Some("a1".to_owned()),
        found: Some("b2".to_owned()),
        ..testing::workspace()
    });
    for unpushed in [None, Some(0), Some(3)] {
        attempt.changes = Some(Changes {
            head: unpushed.map(|_| "c3".to_owned()),
            commits: 1,
            files: 2,
            uncommitted: 3,
            unpushed,
            conflicts: 4,
            recorded: unpushed.map(|_| "refs/agentd/7/2".to_owned()),
            left_out: "large".to_owned(),
        });
        let row = encode_attempt(&attempt);
        assert_eq!(decode_attempt(attempt.id, &row).unwrap(), attempt);
    }
}

/// What was added after the first rows were written.
#[test]
fn both_clocks_and_the_newer_limits_are_kept() {
    let steady = |millis| Steady {
        boot: Boot::of("boot"),
        millis,
    };
    let mut task = full_task();
    task.spec.created_steady = Some(steady(0));
    task.spec.limits.queue_ttl = Some(5);
    task.spec.limits.idle_timeout = Some(0);
    task.started = true;
    task.state = State::Queued(Hold::Backoff {
        until: Moment {
            wall: Timestamp(-1),
            steady: Some(steady(77)),
        },
    });
    assert_eq!(decode_task(task.id, &encode_task(&task)).unwrap(), task);
    let mut attempt = full_attempt();
    attempt.claimed_at.steady = Some(steady(1));
    attempt.started_at = Some(Moment {
        wall: Timestamp(2),
        steady: Some(steady(2)),
    });
    attempt.prepared_at = Some(Moment {
        wall: Timestamp(3),
        steady: Some(steady(3)),
    });
    assert_eq!(
        decode_attempt(attempt.id, &encode_attempt(&attempt)).unwrap(),
        attempt
    );
}

#[test]
fn what_was_spent_and_may_be_is_kept() {
    let spend = |n| Spend {
        cost: n,
        tokens: n + 1,
        wall: n + 2,
        attempts: 3,
    };
    let mut task = full_task();
    task.spec.forgiven = spend(5);
    task.spec.limits.max_cost = Some(1);
    task.spec.limits.max_tokens = Some(2);
    task.spec.limits.max_wall = Some(3);
    task.spec.limits.max_lineage_attempts = Some(4);
    task.state = State::Stopping {
        reason: StopReason::Budget,
        forced: false,
    };
    assert_eq!(decode_task(task.id, &encode_task(&task)).unwrap(), task);
    let mut attempt = full_attempt();
    attempt.account = "team-a".to_owned();
    attempt.before = spend(9);
    attempt.ran = 77;
    assert_eq!(
        decode_attempt(attempt.id, &encode_attempt(&attempt)).unwrap(),
        attempt
    );
    for spent in [Spend::default(), spend(1 << 40)] {
        assert_eq!(decode_spend(&encode_spend(spent)), Ok(spent));
    }
    let moment = |millis| Moment {
        wall: Timestamp(5),
        steady: Some(Steady {
            boot: Boot::of("boot"),
            millis,
        }),
    };
    let account = Account {
        strikes: 3,
        struck_at: moment(1),
        until: Timestamp(99),
        since: moment(2),
        reason: FailureReason::UsageLimit,
        message: "later".to_owned(),
        attempt: attempt.id,
    };
    assert_eq!(decode_account(&encode_account(&account)), Ok(account));
    assert!(decode_account(&[]).is_err());
}

/// Rows that are on people's disks. If this fails, a field was renumbered or
/// retyped: give it a new number instead.
#[test]
fn the_bytes_of_format_1() {
    insta::assert_snapshot!("task_format_1", hex(&encode_task(&full_task())));
    insta::assert_snapshot!("attempt_format_1", hex(&encode_attempt(&full_attempt())));
    let entry = JournalEntry {
        revision: Revision(1),
        task: testing::id(7),
        attempt: 2,
        at: Timestamp(3),
        what: What::Retry,
        why: "the runner died".to_owned(),
        state: StateKind::Queued,
    };
    insta::assert_snapshot!("event_format_1", hex(&encode_event(&entry)));
    assert_eq!(decode_event(1, &encode_event(&entry)).unwrap(), entry);
    let session = encode_session(&full_session(), 9);
    insta::assert_snapshot!("session_format_1", hex(&session));
}

#[test]
fn a_damaged_row_is_an_error_and_never_a_panic() {
    let row = encode_task(&full_task());
    for cut in 0..row.len() {
        // Some cuts fall between fields; what is left must still be refused or
        // be a task, never a panic.
        let _ignored = decode_task(testing::id(7), &row[..cut]).is_ok();
    }
    assert_eq!(
        decode_task(testing::id(7), &[]),
        Err(RecordError::Field("state"))
    );
    assert!(decode_attempt(full_attempt().id, &[0xff; 9]).is_err());
    assert!(decode_session("a", "s", &[]).is_err());
}

#[test]
fn every_code_is_its_own() {
    for reason in FailureReason::ALL {
        assert_eq!(FailureReason::from_code(reason.code()), Ok(*reason));
    }
    for standing in Standing::ALL {
        assert_eq!(Standing::from_code(standing.code()), Ok(standing));
    }
    for kind in StateKind::ALL {
        assert_eq!(state_kind(kind as u8), Ok(kind));
    }
}
