//! Tasks that match, a page at a time.

use agentd_proto::{MAX_MESSAGE, v1};
use prost::Message as _;

use super::{
    Shared,
    error::Failure,
    from_proto,
    query::{Around, add_vitals, shown},
    to_proto,
};
use crate::{
    dispatcher::Handle,
    store::{COUNT_BOUND, Filter, Reader, StoreError},
    task::id::TaskId,
};

/// Rows of a page if the client names no number, and at the most.
const PAGE: (usize, usize) = (50, 1000);
/// Rows of a page, bytes: well below the limit of a message.
const PAGE_SIZE: usize = MAX_MESSAGE / 2;
/// Tag and length of a row in its message, bytes at the most.
const ROW_OVERHEAD: usize = 8;

/// A page, and how the next one is asked for.
pub(super) async fn page(
    shared: &Shared,
    request: v1::ListRequest,
) -> Result<v1::ListResponse, Failure> {
    let filter = from_proto::filter(
        request.filter.unwrap_or_default(),
        &shared.dispatcher.config(),
    )?;
    let before = from_proto::page_token(&request.page_token)?;
    let limit = match usize::try_from(request.page_size).unwrap_or(usize::MAX) {
        0 => PAGE.0,
        size => size.min(PAGE.1),
    };
    let around = shared.around();
    let dispatcher = shared.dispatcher.clone();
    let listed =
        shared.read(move |reader| rows(reader, &filter, before, limit, &around, &dispatcher));
    let (tasks, more) = listed.await?;
    let next_page_token = match tasks.last() {
        Some(last) if more > 0 => last.id.to_string(),
        _ => String::new(),
    };
    Ok(v1::ListResponse {
        tasks,
        next_page_token,
        more,
        more_is_bound: more >= COUNT_BOUND,
    })
}

/// A page of rows, and how many match behind it.
pub(super) fn rows(
    reader: &Reader,
    filter: &Filter,
    before: Option<TaskId>,
    limit: usize,
    around: &Around,
    dispatcher: &Handle,
) -> Result<(Vec<v1::Task>, u64), StoreError> {
    let listing = reader.list(filter, before, limit)?;
    let found = listing.tasks.len();
    let mut rows = Vec::with_capacity(found);
    let mut size = 0;
    for task in listing.tasks {
        let (task, hold) = shown(reader, task, around)?;
        let mut row = to_proto::task(&task, hold);
        add_vitals(row.attempt.as_mut(), task.live_attempt(), dispatcher);
        size += row.encoded_len() + ROW_OVERHEAD;
        // The rest is on the next page.
        if size > PAGE_SIZE && !rows.is_empty() {
            break;
        }
        rows.push(row);
    }
    let left = u64::try_from(found - rows.len()).unwrap_or(u64::MAX);
    Ok((rows, listing.more.saturating_add(left)))
}
