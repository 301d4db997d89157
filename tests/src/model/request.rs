//! What agents have asked.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use hyper::{Method, body::Bytes, http::request::Parts};
use serde_json::Value;

use super::{
    api::{self, Api, By, Said},
    tools::Tool,
};

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A step of the agent's work: it offers the model its tools. Takes a reply
    /// of the script.
    Turn,
    /// Anything else that is asked of the model: a title, a summary, whether
    /// the key is good. Answered with a short text.
    Side,
    /// How many tokens a text has.
    Count,
    /// A connection to elsewhere, if the endpoint is the proxy of an agent: it
    /// gets none. Finds out who does not keep to loopback.
    Elsewhere,
    /// Nothing that the endpoint knows: answered with 404.
    Unknown,
}

/// A request, as it came.
#[derive(Debug)]
pub struct Request {
    /// Since the start of the endpoint.
    pub at: Duration,
    /// `POST`.
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    /// JSON; null if it was none.
    pub body: Value,
    /// What it is for.
    pub purpose: Purpose,
    /// The conversation, oldest first.
    pub said: Vec<Said>,
    pub(super) left: AtomicBool,
}

impl Request {
    /// What users said, without what agent programs add in their name.
    #[must_use]
    pub fn prompts(&self) -> Vec<String> {
        self.by(By::User)
    }

    /// What tools answered.
    #[must_use]
    pub fn results(&self) -> Vec<String> {
        self.by(By::Tool)
    }

    /// What the model had answered before.
    #[must_use]
    pub fn answers(&self) -> Vec<String> {
        self.by(By::Model)
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(header, _)| header == name)?;
        Some(value)
    }

    /// Whether the agent hung up before all was answered.
    #[must_use]
    pub fn left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    fn by(&self, by: By) -> Vec<String> {
        let said = self.said.iter().filter(|said| said.by == by);
        said.map(|said| said.text.clone()).collect()
    }
}

/// A request that was understood.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) api: Option<&'static dyn Api>,
    pub(super) tools: Vec<Tool>,
    pub(super) streams: bool,
}

impl Asked {
    pub(super) fn new(at: Duration, head: &Parts, body: &Bytes) -> Self {
        let path = head.uri.path();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let known = head.method == Method::POST && body.is_object();
        let api = api::at(path).filter(|_| known);
        let tools = api.map(|api| api.tools(&body)).unwrap_or_default();
        let purpose = match api {
            Some(_) if !tools.is_empty() => Purpose::Turn,
            Some(_) => Purpose::Side,
            None if known && is_count(path) => Purpose::Count,
            None if head.method == Method::CONNECT => Purpose::Elsewhere,
            None => Purpose::Unknown,
        };
        let headers = head.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str().to_owned(), value.into_owned())
        });
        let request = Request {
            at,
            method: head.method.to_string(),
            path: head.uri.to_string(),
            headers: headers.collect(),
            purpose,
            said: api.map(|api| api.said(&body)).unwrap_or_default(),
            left: AtomicBool::new(false),
            body,
        };
        Self {
            streams: api.is_some_and(|api| api.streams(path, &request.body)),
            request,
            api,
            tools,
        }
    }

    /// The model that is asked; Google has it in the path.
    pub(super) fn model(&self) -> &str {
        let named = self.request.body["model"].as_str();
        let named = named.or_else(|| {
            let (_, rest) = self.request.path.split_once("/models/")?;
            rest.split(':').next()
        });
        named.unwrap_or("unnamed")
    }
}

fn is_count(path: &str) -> bool {
    path.ends_with("/messages/count_tokens") || path.ends_with(":countTokens")
}
