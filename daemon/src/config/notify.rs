//! Who is told when a task has ended.

use std::{collections::BTreeSet, fmt, path::PathBuf};

use hyper::Uri;

use crate::task::{notice::Way, state::StateKind};

/// How long a command or a server may take with one notice, milliseconds.
pub const NOTIFY_TIMEOUT: u64 = 30 * 1000;

/// Who is told, and of which ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// A program that is run for each notice, and its arguments; empty: none is.
    pub command: Vec<String>,
    /// The server that is sent each notice.
    pub webhook: Option<Webhook>,
    /// The final states that are told.
    pub states: BTreeSet<StateKind>,
    /// How long each of the two may take with one notice, milliseconds.
    pub timeout: u64,
}

/// A server that is sent notices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where.
    pub url: WebhookUrl,
    /// A private file whose line is shown to the server, as a bearer token.
    pub token_file: Option<PathBuf>,
}

/// The address of a server. Whoever knows it may write there: path and query are
/// never shown, nor in its `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(Uri);

impl Notify {
    /// The ends of tasks, all of which are told if nobody says otherwise.
    #[must_use]
    pub fn every_end() -> BTreeSet<StateKind> {
        let all = StateKind::ALL.into_iter();
        all.filter(|kind| !kind.is_active()).collect()
    }

    /// Whether word is to be sent by a way.
    #[must_use]
    pub fn goes_by(&self, way: Way) -> bool {
        match way {
            Way::Command => !self.command.is_empty(),
            Way::Webhook => self.webhook.is_some(),
        }
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            webhook: None,
            states: Self::every_end(),
            timeout: NOTIFY_TIMEOUT,
        }
    }
}

impl WebhookUrl {
    /// An address of the web.
    ///
    /// # Errors
    /// What is wrong with it; its words are not in there.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = "expected an address such as \"https://example.org/hook\"";
        let uri: Uri = text.parse().map_err(|_| wrong)?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(format!("{wrong}: only http and https are spoken"));
        }
        let authority = uri.authority().ok_or(wrong)?;
        if authority.as_str().contains('@') {
            return Err("names a user: use webhook_token_file for what is secret".to_owned());
        }
        // What is no number is not a port for this parser, but part of none.
        let port = authority.as_str().rsplit_once(':').map(|(_, port)| port);
        let port = port.filter(|port| !port.ends_with(']'));
        let bad_port = port.is_some_and(|port| !port.parse().is_ok_and(|port: u16| port > 0));
        if authority.host().is_empty() || bad_port {
            return Err(wrong.to_owned());
        }
        Ok(Self(uri))
    }

    /// The whole address.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.0
    }
}

/// Scheme, host and port; of the rest only that it is there.
impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.scheme_str().unwrap_or("http");
        let authority = self
            .0
            .authority()
            .map_or("", |authority| authority.as_str());
        let rest = match self.0.path_and_query().map(|rest| rest.as_str()) {
            None | Some("" | "/") => "",
            Some(_) => "/…",
        };
        write!(f, "{scheme}://{authority}{rest}")
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_what_is_secret() {
        for (text, shown) in [
            (
                "https://h.example/hooks/S3cret?k=S3cret",
                "https://h.example/…",
            ),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:80/", "http://[::1]:80"),
            ("https://[::1]", "https://[::1]"),
            ("https://h?S3cret", "https://h/…"),
        ] {
            let url = WebhookUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), shown);
        }
    }

    #[test]
    fn what_is_no_address_of_the_web_is_refused_without_its_words() {
        for bad in [
            "S3cret",
            "ftp://S3cret/x",
            "/S3cret",
            "https://",
            "https:///S3cret",
            "https://ann:S3cret@h/x",
            "https://S3cret@h/x",
            "https://h:S3cret/",
            "https://h:0/S3cret",
            "https://h:70000/S3cret",
            "https://h/ S3cret",
            "mailto:S3cret",
        ] {
            let wrong = WebhookUrl::parse(bad).unwrap_err();
            assert!(!wrong.contains("S3cret"), "{bad}: {wrong}");
        }
    }
}
