//! What was chosen to go is looked at again when it goes.

use super::*;
use crate::{
    dispatcher::handle::{CancelOrder, Pruning},
    task::{
        dependency::{After, Condition},
        id::Revision,
        notice::Way,
        state::StateKind,
    },
};

/// A queued task, made by changing a plain one.
fn submit(world: &mut World, change: impl FnOnce(&mut crate::task::spec::TaskSpec)) {
    let mut spec = spec("shell");
    change(&mut spec);
    let submission = Submission {
        spec,
        payload: Payload::default(),
        digest: [0; 32],
        on_busy: OnBusy::Queue,
        delay: None,
    };
    let (reply, _answer) = oneshot::channel();
    let _none = world.turn(vec![Message::Submit(Box::new(submission), reply)]);
}

fn cancel(world: &mut World, task: u64) {
    let (reply, _answer) = oneshot::channel();
    let _none = world.turn(vec![Message::Cancel {
        ids: vec![id(task)],
        by: "ann".to_owned(),
        order: CancelOrder {
            forced: false,
            repeated: false,
        },
        reply,
    }]);
}

/// The tasks that are left when one lineage was to go, chosen before task
/// `seen` was made.
fn left(world: &mut World, lineage: &[u64], seen: u64) -> Vec<u64> {
    let pruning = Pruning {
        lineages: vec![lineage.iter().copied().map(id).collect()],
        seen: id(seen),
        transcripts: Vec::new(),
        at: Timestamp(0),
    };
    let (reply, _answer) = oneshot::channel();
    let _none = world.turn(vec![Message::Prune(Box::new(pruning), reply)]);
    let reader = world.engine().parts.store.reader().unwrap();
    let all = reader.list(&crate::store::Filter::default(), None, 100);
    let mut ids: Vec<_> = all.unwrap().tasks.iter().map(|t| t.id.get()).collect();
    ids.reverse();
    ids
}

#[test]
fn what_is_active_stays_and_so_does_its_kin() {
    let mut world = World::new();
    world.pause(true);
    submit(&mut world, |_| {});
    submit(&mut world, |spec| {
        spec.after = vec![After {
            task: id(1),
            condition: Condition::End,
        }];
    });
    assert_eq!(left(&mut world, &[1], 3), [1, 2]);
    cancel(&mut world, 1);
    // A rerun came, and ended, after the choice was made.
    submit(&mut world, |spec| {
        spec.rerun_of = Some(id(1));
        spec.lineage = Some(id(1));
    });
    assert_eq!(left(&mut world, &[1], 3), [1, 2, 3]);
    cancel(&mut world, 3);
    assert_eq!(left(&mut world, &[1], 3), [1, 2, 3]);
    assert_eq!(left(&mut world, &[1, 3], 4), [2]);
    // Once more changes nothing, and the next life finds what is left.
    assert_eq!(left(&mut world, &[1, 3], 4), [2]);
    world.start();
    submit(&mut world, |_| {});
    assert_eq!(left(&mut world, &[2], 5), [2, 4]);
}

#[test]
fn what_nobody_was_told_of_yet_stays() {
    let mut world = World::new();
    world.pause(true);
    let told = |world: &mut World, upto| {
        let (reply, _answer) = oneshot::channel();
        let way = Way::Webhook;
        let _none = world.turn(vec![Message::SetTold { way, upto, reply }]);
    };
    let notify = |world: &mut World, of: StateKind| {
        let config = &mut world.engine().parts.config;
        let notify = "[notify]\nwebhook_url = \"http://127.0.0.1/\"\nstates = ";
        let text = format!("{notify}[{:?}]\n", of.as_str());
        let parsed = Config::parse(&text, std::path::Path::new("c")).unwrap();
        *config = Arc::new(Config {
            min_free_disk: 0,
            ..parsed
        });
    };
    submit(&mut world, |_| {});
    submit(&mut world, |_| {});
    cancel(&mut world, 1);
    cancel(&mut world, 2);
    // The ends are events 3 and 4. Before the way is begun, nobody waits for it.
    told(&mut world, Some(Revision(3)));
    notify(&mut world, StateKind::Cancelled);
    assert_eq!(left(&mut world, &[2], 3), [1, 2]);
    assert_eq!(left(&mut world, &[1], 3), [2]);
    told(&mut world, Some(Revision(4)));
    assert!(left(&mut world, &[2], 3).is_empty());
    // What nobody wants to know of is not kept for it, nor what nobody is told of.
    for (of, upto) in [
        (StateKind::Failed, Some(Revision(4))),
        (StateKind::Cancelled, None),
    ] {
        submit(&mut world, |_| {});
        let task = world.engine().tasks.keys().next().unwrap().get();
        cancel(&mut world, task);
        told(&mut world, upto);
        notify(&mut world, of);
        assert!(left(&mut world, &[task], task + 1).is_empty(), "{of:?}");
    }
}

#[test]
fn what_a_lineage_spent_goes_with_the_last_of_it() {
    let mut world = World::new();
    let _launch = world.submit(Limits::default());
    world.run();
    let attempt = world.attempt();
    let _conclude = world.tell(exited(attempt, 0));
    let spent = |world: &mut World| {
        let reader = world.engine().parts.store.reader().unwrap();
        reader.spent(id(1)).unwrap().attempts
    };
    assert_eq!(spent(&mut world), 1);
    assert!(left(&mut world, &[1], 2).is_empty());
    assert_eq!(spent(&mut world), 0);
}
