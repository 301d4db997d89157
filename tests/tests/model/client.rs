//! A plain HTTP client that shows what is on the wire.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use agentd_tests::DEADLINE;
use serde_json::Value;

/// A response that is being read.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    stream: BufReader<TcpStream>,
}

/// What was read of a body, and how that ended.
#[derive(Debug)]
pub(crate) struct Body {
    text: String,
    /// The last, empty chunk came.
    pub(crate) whole: bool,
}

/// A server-sent event.
#[derive(Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: Option<String>,
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

pub(crate) fn connect(url: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(url.strip_prefix("http://").unwrap())?;
    stream.set_read_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// Sends a request, without waiting for an answer.
pub(crate) fn send(url: &str, method: &str, path: &str, body: &str) -> BufReader<TcpStream> {
    let mut stream = connect(url).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: test\r\nX-Api-Key: k\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    BufReader::new(stream)
}

/// Asks and reads the head of the answer.
pub(crate) fn ask(url: &str, method: &str, path: &str, body: &str) -> io::Result<Reading> {
    let mut stream = send(url, method, path, body);
    let first = line(&mut stream)?;
    let status = first.split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = Vec::new();
    loop {
        let line = line(&mut stream)?;
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    Ok(Reading {
        status,
        headers,
        stream,
    })
}

/// Posts JSON.
pub(crate) fn post(url: &str, path: &str, body: &Value) -> Reading {
    ask(url, "POST", path, &body.to_string()).unwrap()
}

fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

impl Reading {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(header, _)| header == name)?;
        Some(value)
    }

    /// Reads until the end, or until nothing comes for so long.
    pub(crate) fn body(mut self, patience: Option<Duration>) -> Body {
        assert_eq!(self.header("transfer-encoding"), Some("chunked"));
        let patience = patience.unwrap_or(DEADLINE);
        self.stream
            .get_ref()
            .set_read_timeout(Some(patience))
            .unwrap();
        let mut text = String::new();
        let whole = self.chunks(&mut text).is_ok();
        Body { text, whole }
    }

    fn chunks(&mut self, text: &mut String) -> io::Result<()> {
        loop {
            let size = usize::from_str_radix(&line(&mut self.stream)?, 16).unwrap();
            let mut chunk = vec![0; size];
            self.stream.read_exact(&mut chunk)?;
            line(&mut self.stream)?;
            text.push_str(&String::from_utf8(chunk).unwrap());
            if size == 0 {
                return Ok(());
            }
        }
    }

    /// The whole body, as JSON.
    pub(crate) fn json(self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        let body = self.body(None);
        assert!(body.whole, "{body:?}");
        serde_json::from_str(&body.text).unwrap()
    }

    /// The whole body, as events.
    pub(crate) fn events(self) -> Vec<Event> {
        let kind = self.header("content-type");
        assert_eq!(kind, Some("text/event-stream; charset=utf-8"));
        let body = self.body(None);
        assert!(body.whole, "{body:?}");
        body.events()
    }
}

impl Body {
    pub(crate) fn events(&self) -> Vec<Event> {
        let blocks = self.text.split_terminator("\n\n");
        let event = blocks.map(|block| {
            let field = |name: &str| {
                let mut lines = block.lines();
                lines.find_map(|line| Some(line.strip_prefix(name)?.to_owned()))
            };
            Event {
                name: field("event: "),
                data: field("data: ").unwrap(),
            }
        });
        event.collect()
    }
}

/// The names of events.
pub(crate) fn names(events: &[Event]) -> Vec<&str> {
    let named = events.iter();
    named.filter_map(|event| event.name.as_deref()).collect()
}
