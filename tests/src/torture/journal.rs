//! What the store says of all tasks at once: lists, indexes, journal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use agentd_proto::v1::{
    Event, Filter, ListRequest, State, StatusRequest, Task, WatchRequest,
    control_client::ControlClient,
};
use tonic::{Status, transport::Channel};

use super::load::Acknowledged;

/// What an attempt left in its workspace is looked at after its end.
const LEFT: &str = "workspace_left";

/// The states that a task can be in.
const STATES: [State; 9] = [
    State::Queued,
    State::Starting,
    State::Running,
    State::Stopping,
    State::Succeeded,
    State::Failed,
    State::Cancelled,
    State::Interrupted,
    State::Aborted,
];

/// Checks that the lists, the indexes and the journal tell the same story.
pub(super) async fn check(
    control: &mut ControlClient<Channel>,
    acknowledged: &[Acknowledged],
) -> Result<Vec<String>, Status> {
    let mut faults = Vec::new();
    let all = list(control, Filter::default()).await?;
    one_task_a_request(&all, acknowledged, &mut faults);
    indexes(control, &all, &mut faults).await?;
    journal(&all, &events(control).await?, &mut faults);
    Ok(faults)
}

async fn list(
    control: &mut ControlClient<Channel>,
    filter: Filter,
) -> Result<BTreeMap<u64, Task>, Status> {
    let request = ListRequest {
        filter: Some(filter),
        ..ListRequest::default()
    };
    let mut tasks = control.list_stream(request).await?.into_inner();
    let mut found = BTreeMap::new();
    while let Some(task) = tasks.message().await? {
        found.insert(task.id, task);
    }
    Ok(found)
}

fn one_task_a_request(
    all: &BTreeMap<u64, Task>,
    acknowledged: &[Acknowledged],
    faults: &mut Vec<String>,
) {
    let mut requests: HashMap<&str, u64> = HashMap::new();
    for task in all.values() {
        if let Some(other) = requests.insert(&task.request_id, task.id) {
            let request = &task.request_id;
            faults.push(format!(
                "{request} became task {other} and task {}",
                task.id
            ));
        }
    }
    for known in acknowledged {
        let request = &known.request;
        if requests.get(request.as_str()) != Some(&known.task) {
            faults.push(format!("{request} is not task {} any more", known.task));
        }
    }
}

/// Every index finds what the rows say, no more and no less.
async fn indexes(
    control: &mut ControlClient<Channel>,
    all: &BTreeMap<u64, Task>,
    faults: &mut Vec<String>,
) -> Result<(), Status> {
    let mut filters: Vec<Filter> = STATES
        .iter()
        .map(|state| Filter {
            states: vec![(*state).into()],
            ..Filter::default()
        })
        .collect();
    let names = |of: fn(&Task) -> &String| -> BTreeSet<&String> {
        all.values().map(of).filter(|n| !n.is_empty()).collect()
    };
    filters.extend(names(|task| &task.agent).into_iter().map(|name| Filter {
        agent: name.clone(),
        ..Filter::default()
    }));
    filters.extend(names(|task| &task.repo).into_iter().map(|name| Filter {
        repo: name.clone(),
        ..Filter::default()
    }));
    filters.extend(names(|task| &task.issue).into_iter().map(|name| Filter {
        issue: name.clone(),
        ..Filter::default()
    }));
    for filter in filters {
        let found = list(control, filter.clone()).await?;
        let right = all.iter().filter(|(_, task)| matches(&filter, task));
        let right: Vec<_> = right.map(|(id, _)| *id).collect();
        if !found.keys().eq(right.iter()) {
            let count = found.len();
            let fault = format!(
                "{count} tasks instead of {} are found by {filter:?}",
                right.len()
            );
            faults.push(fault);
        }
    }
    Ok(())
}

fn matches(filter: &Filter, task: &Task) -> bool {
    (filter.states.is_empty() || filter.states.contains(&task.state))
        && (filter.agent.is_empty() || filter.agent == task.agent)
        && (filter.repo.is_empty() || filter.repo == task.repo)
        && (filter.issue.is_empty() || filter.issue == task.issue)
}

/// The whole journal.
async fn events(control: &mut ControlClient<Channel>) -> Result<Vec<Event>, Status> {
    let newest = control
        .status(StatusRequest {})
        .await?
        .into_inner()
        .revision;
    let request = WatchRequest {
        from_start: true,
        ..WatchRequest::default()
    };
    let mut events = Vec::new();
    if newest == 0 {
        return Ok(events);
    }
    let mut stream = control.watch(request).await?.into_inner();
    while let Some(event) = stream.message().await? {
        let done = event.revision >= newest;
        events.push(event);
        if done {
            break;
        }
    }
    Ok(events)
}

/// No revision is missing; each task begins once and ends once, in the state
/// that its row has, and each workspace is looked at once.
fn journal(all: &BTreeMap<u64, Task>, events: &[Event], faults: &mut Vec<String>) {
    for (expected, event) in (1..).zip(events) {
        if event.revision != expected {
            let fault = format!("revision {expected} is missing in the journal");
            faults.push(fault);
            break;
        }
    }
    let mut of_task: BTreeMap<u64, Vec<&Event>> = BTreeMap::new();
    for event in events {
        of_task.entry(event.task).or_default().push(event);
    }
    if !of_task.keys().eq(all.keys()) {
        faults.push("the journal and the list know different tasks".to_owned());
    }
    for (id, events) in of_task {
        let what: Vec<_> = events.iter().map(|event| event.what.as_str()).collect();
        let count = |name| what.iter().filter(|what| **what == name).count();
        if what.first() != Some(&"submitted") || count("submitted") != 1 {
            faults.push(format!("task {id} does not begin once: {what:?}"));
        }
        let end = what.iter().rev().find(|what| **what != LEFT);
        if end != Some(&"finished") || count("finished") != 1 {
            faults.push(format!("task {id} does not end once: {what:?}"));
        }
        let left = events.iter().filter(|event| event.what == LEFT);
        let mut looks: Vec<_> = left.map(|event| event.attempt).collect();
        looks.sort_unstable();
        if looks.windows(2).any(|two| two[0] == two[1]) {
            faults.push(format!("a workspace of task {id} was left twice: {what:?}"));
        }
        let row = all.get(&id).map(|task| (task.revision, task.state));
        if row != events.last().map(|event| (event.revision, event.state)) {
            faults.push(format!("task {id} is not as the journal says: {what:?}"));
        }
    }
}
