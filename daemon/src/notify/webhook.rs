//! The operator's own server: each notice is posted there.
//!
//! One connection a notice, HTTP/1.1, no proxy, and no redirect is followed: what
//! is told goes where the operator said and nowhere else. Of the answer only the
//! status and `Retry-After` count; its body is not read. Neither the path of the
//! address nor the token is in what is said of a failure.

use std::{io, sync::Arc};

use http_body_util::Full;
use hyper::{
    Method, Request, StatusCode, Uri,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER,
        USER_AGENT,
    },
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

use super::Miss;
use crate::config::{Webhook, read_private};

/// Who asks.
const AGENT: &str = concat!("agentd/", env!("CARGO_PKG_VERSION"));

/// Answers that are about the notice itself. Any other (a token that is not taken,
/// an address that has moved) is about all of them: somebody can mend that.
const UNWANTED: [StatusCode; 4] = [
    StatusCode::BAD_REQUEST,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::UNPROCESSABLE_ENTITY,
];

/// Posts a document once. Nothing here limits how long that takes.
pub(super) async fn post(webhook: &Webhook, body: Vec<u8>) -> Result<(), Miss> {
    let uri = webhook.url.uri();
    let token = token(webhook).await?;
    let request = request(uri, token, body);
    let request = request.map_err(|error| Miss::failed(error.to_string()))?;
    let connection = connect(uri).await;
    let stream = connection.map_err(|error| {
        let to = &webhook.url;
        Miss::failed(format!("cannot connect to {to}: {error}"))
    })?;
    let answered = if uri.scheme_str() == Some("https") {
        let stream = secure(uri, stream).await;
        let stream = stream.map_err(|error| {
            let to = &webhook.url;
            Miss::failed(format!("no secure connection to {to}: {error}"))
        })?;
        exchange(stream, request).await
    } else {
        exchange(stream, request).await
    };
    let answer = answered.map_err(|error| Miss::failed(format!("{}: {error}", webhook.url)))?;
    judge(answer.status(), answer.headers())
}

/// What the server asks for, if anything: read anew each time, so that a new one
/// counts at once.
async fn token(webhook: &Webhook) -> Result<Option<HeaderValue>, Miss> {
    let Some(file) = webhook.token_file.clone() else {
        return Ok(None);
    };
    let reading = tokio::task::spawn_blocking({
        let file = file.clone();
        move || read_private(&file)
    });
    let bad = |why: &str| Miss::failed(format!("{}: {why}", file.display()));
    let text = reading.await.map_err(|error| bad(&error.to_string()))?;
    let text = text.map_err(|error| bad(&error.to_string()))?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(bad("not one line with a token"));
    }
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value = value.map_err(|_| bad("not one line with a token"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn request(
    uri: &Uri,
    token: Option<HeaderValue>,
    body: Vec<u8>,
) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    // An address with a query only has no path in front of it.
    let path = match path.strip_prefix('?') {
        Some(query) => format!("/?{query}"),
        None => path.to_owned(),
    };
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "close");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, token);
    }
    request.body(Full::new(Bytes::from(body)))
}

/// The host without the brackets around an address of IPv6.
fn host(uri: &Uri) -> &str {
    let host = uri.host().unwrap_or_default();
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    inner.unwrap_or(host)
}

async fn connect(uri: &Uri) -> io::Result<TcpStream> {
    let port = match uri.scheme_str() {
        Some("https") => 443,
        _ => 80,
    };
    // Each of its addresses is tried in turn.
    TcpStream::connect((host(uri), uri.port_u16().unwrap_or(port))).await
}

async fn secure(
    uri: &Uri,
    stream: TcpStream,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    // Read anew each time: which authorities are trusted is the system's to say.
    let found = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await?;
    let mut roots = RootCertStore::empty();
    let (trusted, _) = roots.add_parsable_certificates(found.certs);
    if trusted == 0 {
        return Err(io::Error::other("this machine trusts no authority"));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host(uri).to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// Sends a request and waits for the head of the answer.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
) -> hyper::Result<hyper::Response<Incoming>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(sender.send_request(request));
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => {
            ended?;
            // It has ended with the answer, or without one.
            answer.await
        }
    }
}

fn judge(status: StatusCode, headers: &HeaderMap) -> Result<(), Miss> {
    if status.is_success() {
        return Ok(());
    }
    let why = format!("the server answers {status}");
    if UNWANTED.contains(&status) {
        return Err(Miss::Refused(why));
    }
    let asked = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    let asked = asked.and_then(|text| text.trim().parse::<u64>().ok());
    Err(Miss::Failed {
        why,
        retry_after: asked.map(|seconds| seconds.saturating_mul(1000)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, retry_after: &str) -> Result<(), Miss> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
        judge(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn what_may_pass_is_told_from_what_does_not() {
        for good in [200, 201, 204] {
            assert_eq!(judged(good, "5"), Ok(()));
        }
        for refused in [400, 413, 415, 422] {
            assert!(
                matches!(judged(refused, "5"), Err(Miss::Refused(_))),
                "{refused}"
            );
        }
        for (status, said, millis) in [
            (301, "", None),
            (401, "", None),
            (404, "", None),
            (408, "", None),
            (429, "120", Some(120_000)),
            (500, "-1", None),
            (503, "Fri, 31 Dec 1999 23:59:59 GMT", None),
            (503, "99999999999999999999", None),
            (599, " 7 ", Some(7_000)),
        ] {
            match judged(status, said) {
                Err(Miss::Failed { retry_after, .. }) => assert_eq!(retry_after, millis, "{said}"),
                other => panic!("{status}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_request_names_path_query_and_host() {
        for (uri, path, host, bare) in [
            ("https://h.example", "/", "h.example", "h.example"),
            ("https://h.example?k=v", "/?k=v", "h.example", "h.example"),
            ("http://[::1]:8080/a/b?k=v", "/a/b?k=v", "[::1]:8080", "::1"),
        ] {
            let uri: Uri = uri.parse().unwrap();
            let request = request(&uri, None, b"{}".to_vec()).unwrap();
            assert_eq!(request.uri(), path);
            assert_eq!(request.headers()[HOST], host);
            assert_eq!(request.method(), Method::POST);
            assert!(!request.headers().contains_key(AUTHORIZATION));
            assert_eq!(super::host(&uri), bare);
        }
    }
}
