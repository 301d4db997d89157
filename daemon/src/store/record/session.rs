//! The stored form of sessions, and of what an attempt was given of one.

use prost::Message;

use super::{
    RecordError,
    code::Code,
    observed::{UsageRecord, usage, usage_record},
    path_text,
};
use crate::task::{
    id::{AttemptId, TaskId, Timestamp},
    session::{Given, Place, Session, Standing, Way},
    spec::AgentType,
    usage::Usage,
};

#[derive(Clone, Copy, PartialEq, Message)]
struct PlaceRecord {
    #[prost(fixed64, tag = "1")]
    device: u64,
    #[prost(uint64, tag = "2")]
    inode: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GivenRecord {
    #[prost(uint32, tag = "1")]
    way: u32,
    #[prost(string, optional, tag = "2")]
    session: Option<String>,
    #[prost(string, tag = "3")]
    why: String,
    #[prost(message, optional, tag = "4")]
    place: Option<PlaceRecord>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct AttemptIdRecord {
    #[prost(uint64, tag = "1")]
    task: u64,
    #[prost(uint32, tag = "2")]
    number: u32,
}

#[derive(Clone, PartialEq, Message)]
struct SessionRecord {
    #[prost(uint32, tag = "1")]
    agent_type: u32,
    #[prost(string, optional, tag = "2")]
    model: Option<String>,
    #[prost(string, tag = "3")]
    key: String,
    #[prost(string, tag = "4")]
    workspace: String,
    #[prost(message, optional, tag = "5")]
    place: Option<PlaceRecord>,
    #[prost(message, optional, tag = "6")]
    first: Option<AttemptIdRecord>,
    #[prost(message, optional, tag = "7")]
    attempt: Option<AttemptIdRecord>,
    #[prost(message, optional, tag = "8")]
    user: Option<AttemptIdRecord>,
    #[prost(uint32, tag = "9")]
    standing: u32,
    #[prost(string, tag = "10")]
    why: String,
    #[prost(int64, tag = "11")]
    made_at: i64,
    #[prost(int64, tag = "12")]
    changed_at: i64,
    /// When an attempt came to work in it last.
    #[prost(uint64, tag = "13")]
    revision: u64,
    #[prost(message, optional, tag = "14")]
    used: Option<UsageRecord>,
}

fn place_record(place: Option<Place>) -> Option<PlaceRecord> {
    place.map(|Place { device, inode }| PlaceRecord { device, inode })
}

fn place(record: Option<PlaceRecord>) -> Option<Place> {
    record.map(|PlaceRecord { device, inode }| Place { device, inode })
}

/// `None` if there is nothing to say, as of attempts of before.
pub(super) fn given_record(given: &Given) -> Option<GivenRecord> {
    (*given != Given::default()).then(|| GivenRecord {
        way: given.way.code(),
        session: given.session.clone(),
        why: given.why.clone(),
        place: place_record(given.place),
    })
}

pub(super) fn given(record: Option<GivenRecord>) -> Result<Given, RecordError> {
    let Some(record) = record else {
        return Ok(Given::default());
    };
    Ok(Given {
        way: Way::from_code(record.way)?,
        session: record.session,
        why: record.why,
        place: place(record.place),
    })
}

fn id_record(id: AttemptId) -> AttemptIdRecord {
    AttemptIdRecord {
        task: id.task.get(),
        number: id.number,
    }
}

fn id(record: AttemptIdRecord) -> Result<AttemptId, RecordError> {
    Ok(AttemptId {
        task: TaskId::new(record.task).ok_or(RecordError::Field("session's attempt"))?,
        number: record.number,
    })
}

pub(in crate::store) fn encode_session(session: &Session, revision: u64) -> Vec<u8> {
    SessionRecord {
        agent_type: session.agent_type.code(),
        model: session.model.clone(),
        key: session.key.clone(),
        workspace: path_text(&session.workspace),
        place: place_record(session.place),
        first: Some(id_record(session.first)),
        attempt: Some(id_record(session.attempt)),
        user: session.user.map(id_record),
        standing: session.standing.code(),
        why: session.why.clone(),
        made_at: session.made_at.0,
        changed_at: session.changed_at.0,
        revision,
        used: (session.used != Usage::default()).then(|| usage_record(session.used)),
    }
    .encode_to_vec()
}

/// The session of a row, and when an attempt came to work in it last.
pub(in crate::store) fn decode_session(
    agent: &str,
    session: &str,
    bytes: &[u8],
) -> Result<(Session, u64), RecordError> {
    let record = SessionRecord::decode(bytes)?;
    let named = |id: Option<AttemptIdRecord>| id.ok_or(RecordError::Field("session's attempt"));
    let decoded = Session {
        id: session.to_owned(),
        agent: agent.to_owned(),
        agent_type: AgentType::from_code(record.agent_type)?,
        model: record.model,
        key: record.key,
        workspace: record.workspace.into(),
        place: place(record.place),
        first: id(named(record.first)?)?,
        attempt: id(named(record.attempt)?)?,
        user: record.user.map(id).transpose()?,
        used: record.used.map(usage).unwrap_or_default(),
        standing: Standing::from_code(record.standing)?,
        why: record.why,
        made_at: Timestamp(record.made_at),
        changed_at: Timestamp(record.changed_at),
    };
    Ok((decoded, record.revision))
}
