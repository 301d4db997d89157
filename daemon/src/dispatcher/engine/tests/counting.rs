//! What turns add to the figures.

use super::*;

/// Whether all of these lines are told.
#[track_caller]
fn tells(world: &mut World, lines: &[&str]) {
    let text = world.engine().parts.metrics.told();
    for line in lines {
        assert!(text.lines().any(|told| told == *line), "{line}\n{text}");
    }
}

#[test]
fn a_task_is_counted_from_turn_to_turn_and_from_life_to_life() {
    let mut world = World::new();
    let _launch = world.submit(Limits::default());
    tells(
        &mut world,
        &[
            "agentd_tasks_submitted_total{agent=\"shell\",trigger=\"manual\"} 1",
            "agentd_tasks{agent=\"shell\",state=\"starting\"} 1",
            "agentd_attempts_claimed_total{agent=\"shell\"} 1",
            "agentd_slots_used 1",
            "agentd_turn_messages_sum 1.0",
            "agentd_store_commit_seconds_count 1",
        ],
    );
    world.run();
    // A turn that changes nothing commits nothing.
    assert_eq!(world.turn(Vec::new()), []);
    tells(
        &mut world,
        &[
            "agentd_turn_messages_count 4",
            "agentd_store_commit_seconds_count 3",
        ],
    );
    world.start();
    tells(
        &mut world,
        &[
            "agentd_tasks{agent=\"shell\",state=\"running\"} 1",
            "agentd_slots_used 1",
            "agentd_recovery_attempts{result=\"adopted\"} 0",
        ],
    );
    let _none = world.registers(running());
    let attempt = world.attempt();
    tells(
        &mut world,
        &["agentd_recovery_attempts{result=\"adopted\"} 1"],
    );
    let _conclude = world.tell(exited(attempt, 0));
    tells(
        &mut world,
        &[
            "agentd_tasks{agent=\"shell\",state=\"running\"} 0",
            "agentd_tasks_finished_total{agent=\"shell\",state=\"succeeded\",reason=\"none\"} 1",
            "agentd_slots_used 0",
        ],
    );
}

#[test]
fn attempts_of_an_earlier_boot_are_not_lost_ones() {
    let mut world = World::new();
    let _launch = world.submit(Limits::default());
    world.run();
    world.start();
    let attempt = world.attempt();
    let finding = Finding::Reap(FailureReason::HostRebooted);
    let _reap = world.turn(vec![Message::Report(Report::Examined {
        attempt,
        seen: Some(Seen {
            finding,
            result: None,
        }),
    })]);
    tells(
        &mut world,
        &[
            "agentd_recovery_attempts{result=\"rebooted\"} 1",
            "agentd_recovery_attempts{result=\"lost\"} 0",
        ],
    );
}

#[test]
fn a_reload_counts_tasks_where_their_agents_are() {
    let mut world = World::new();
    let _launch = world.submit(Limits::default());
    let config = Config {
        agents: [].into(),
        ..Config::default()
    };
    let (reply, _answer) = oneshot::channel();
    let _none = world.turn(vec![Message::Reload(Arc::new(config), reply)]);
    tells(
        &mut world,
        &["agentd_tasks{agent=\"(other)\",state=\"starting\"} 1"],
    );
}
