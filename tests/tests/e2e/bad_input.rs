//! Wrong input of people and scripts: a clear error with the right exit code,
//! and nothing changed.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
};

use agentd_tests::{Ctl, TestDaemon, reason, v1};
use tonic::{Code, Status};

use crate::submit::why;

const PROMPT_LIMIT: usize = 1024 * 1024;

#[test]
fn a_wrong_task_is_refused_and_leaves_no_trace() {
    let daemon = TestDaemon::start();
    let first = daemon.sh("true");
    let before = daemon.wait(first);
    let refused = |args: &[&str], code, says: &[&str]| daemon.ctl(args).refused(code, says);

    refused(&["submit", ""], 2, &["the prompt is empty"]);
    refused(&["submit", " \n\t"], 2, &["the prompt is empty"]);
    refused(&["submit"], 2, &["there is nothing to do", "hint: "]);
    refused(&["submit", "--", ""], 2, &["empty program"]);
    refused(
        &["submit", "-a", "shel", "x"],
        2,
        &["\"shel\"", "hint: did you mean shell?"],
    );
    refused(
        &["run", "-a", "unlike-any", "x"],
        2,
        &["\"unlike-any\"", "hint: configured are: shell"],
    );
    // Words for a person are no script, unless somebody says so.
    refused(
        &["run", "touch a > b; fix the failing test"],
        2,
        &["none of claude, codex", "hint: ", "agentctl run -- CMD"],
    );
    // As of a variable that is not set.
    for empty in [
        &["submit", "-a", "", "--", "true"][..],
        &["submit", "--issue", "", "--", "true"],
        &["submit", "--model", " ", "--", "true"],
        &["submit", "--request-id", "", "--", "true"],
        &["ls", "-a", ""],
        &["ls", "--issue", ""],
        &["pause", ""],
        &["resume", ""],
        &["rerun", "--model", "", "1"],
    ] {
        refused(empty, 2, &["it is empty"]);
    }
    let nowhere = daemon.arg("nowhere");
    refused(
        &["submit", "-C", &nowhere, "--", "true"],
        2,
        &["nowhere", "No such file"],
    );
    fs::create_dir(daemon.path("plain")).unwrap();
    let plain = daemon.arg("plain");
    refused(
        &["submit", "-C", &plain, "--", "true"],
        2,
        &["plain", "hint: ", "git repository"],
    );
    fs::write(daemon.path("file"), "").unwrap();
    refused(
        &["submit", "-C", &daemon.arg("file"), "--", "true"],
        2,
        &["no directory"],
    );
    refused(
        &["submit", "--workspace", "worktree", "--", "true"],
        2,
        &["needs a repository", "hint: "],
    );
    refused(&["submit", "--prompt-file", &nowhere], 2, &["nowhere"]);
    refused(&["submit", "--label", "x", "y"], 2, &["KEY=VALUE"]);
    refused(
        &["submit", "--max-attempts", "0", "y"],
        2,
        &["max-attempts"],
    );
    refused(&["submit", "--timeout", "0s", "y"], 2, &["timeout"]);
    refused(&["submit", "--issue", "@x", "--", "y"], 2, &["issue"]);
    refused(
        &["submit", "--title", "a\nb", "--", "y"],
        2,
        &["title", "control characters"],
    );
    for verb in ["show", "logs", "cancel", "kill", "wait", "rerun"] {
        refused(&[verb, ""], 2, &["empty"]);
        refused(&[verb, "0"], 2, &["counted from 1"]);
        refused(&[verb, "x"], 2, &["not a task id"]);
        refused(&[verb, "77"], 3, &["77"]);
    }
    refused(
        &["show", "18446744073709551616"],
        2,
        &["18446744073709551616"],
    );
    refused(&["watch", "77"], 3, &["77"]);
    refused(&["logs", "1.2"], 3, &["no attempt 2", "hint: "]);
    refused(&["pause", "shel"], 2, &["did you mean shell?"]);

    let status = daemon.ctl(&["status", "-o", "json"]).json();
    assert_eq!(status["paused"], false);
    assert_eq!(daemon.ctl(&["ls", "-o", "name"]).ok().text(), "1\n");
    assert_eq!(daemon.show(first), before);
    assert_eq!(daemon.sh("true"), 2, "no number was used up");
}

#[test]
fn a_prompt_has_a_limit() {
    let daemon = TestDaemon::with("[agents.cat]\ntype = \"command\"\ncommand = [\"wc\", \"-c\"]\n");
    let ctl = daemon.agentctl();
    let most = "x".repeat(PROMPT_LIMIT);
    let said = ctl
        .call_with_input(&["run", "-a", "cat", "-"], most.as_bytes())
        .ok();
    assert_eq!(said.text().trim(), PROMPT_LIMIT.to_string());
    let more = most + "x";
    let said = ctl.call_with_input(&["run", "-a", "cat", "-"], more.as_bytes());
    said.refused(2, &["1 MiB", "hint: "]);
    let file = daemon.arg("prompt");
    fs::write(&file, &more).unwrap();
    daemon
        .ctl(&["submit", "--prompt-file", &file])
        .refused(2, &["1 MiB"]);
    assert_eq!(daemon.ctl(&["ls", "-o", "name"]).ok().text(), "1\n");
}

/// Not every client is agentctl: the daemon checks for itself.
#[tokio::test]
async fn the_interface_refuses_what_agentctl_would_not_send() {
    let daemon = TestDaemon::start();
    let mut client = daemon.client().await;
    let plain = || v1::SubmitRequest {
        agent: "shell".to_owned(),
        prompt: "x".to_owned(),
        ..v1::SubmitRequest::default()
    };
    let with = |change: &dyn Fn(&mut v1::SubmitRequest)| {
        let mut request = plain();
        change(&mut request);
        request
    };
    let field = |status: &Status| {
        use tonic_types::StatusExt as _;
        let info = status.get_details_error_info().unwrap();
        info.metadata
            .get(reason::META_FIELD)
            .cloned()
            .unwrap_or_default()
    };
    for (request, named) in [
        (with(&|r| r.prompt = String::new()), "prompt"),
        (with(&|r| r.prompt = "x".repeat(PROMPT_LIMIT + 1)), "prompt"),
        (with(&|r| r.command = vec![String::new()]), "command"),
        (with(&|r| r.command = vec!["a\0b".to_owned()]), "command"),
        (with(&|r| r.model = "a\u{1b}[31m".to_owned()), "model"),
        (with(&|r| r.title = "x".repeat(1024 * 1024)), "title"),
        (with(&|r| r.request_id = "x".repeat(100_000)), "request_id"),
        (with(&|r| r.issue = "  ".to_owned()), "issue"),
        (with(&|r| r.workspace_mode = 99), "workspace_mode"),
        (with(&|r| r.on_busy = 99), "on_busy"),
        (
            with(&|r| r.labels = (0..65).map(|n| (n.to_string(), String::new())).collect()),
            "labels",
        ),
        (
            with(&|r| {
                r.limits = Some(v1::Limits {
                    timeout: Some(0),
                    ..v1::Limits::default()
                })
            }),
            "limits.timeout",
        ),
        (
            with(&|r| {
                r.limits = Some(v1::Limits {
                    memory: Some(1),
                    ..v1::Limits::default()
                })
            }),
            "limits.memory",
        ),
    ] {
        let status = client.submit(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{named}: {status:?}");
        assert_eq!(
            (why(&status).0.as_str(), field(&status).as_str()),
            (reason::INVALID_FIELD, named)
        );
    }
    for (repo, code) in [
        ("relative", Code::InvalidArgument),
        ("/no/such", Code::InvalidArgument),
    ] {
        let status = client
            .submit(with(&|r| r.repo = repo.to_owned()))
            .await
            .unwrap_err();
        assert_eq!(
            (status.code(), why(&status).0.as_str()),
            (code, reason::REPO_INVALID)
        );
    }
    let status = client.get(v1::GetRequest { id: 0 }).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let status = client.get(v1::GetRequest { id: 5 }).await.unwrap_err();
    assert_eq!(why(&status).0, reason::TASK_NOT_FOUND);
    let request = v1::ListRequest {
        page_token: "nonsense".to_owned(),
        ..v1::ListRequest::default()
    };
    assert_eq!(
        client.list(request).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    // Larger than any message may be.
    let huge = with(&|r| r.prompt = "x".repeat(8 * PROMPT_LIMIT));
    let status = client.submit(huge).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted),
        "{status:?}"
    );
    let mut client = daemon.client().await;
    let answer = client.submit(plain()).await.unwrap().into_inner();
    assert_eq!(
        answer.task.unwrap().id,
        1,
        "nothing was stored, no number was used"
    );
}

/// Strangers on the socket do not keep it from others, nor it from ending.
#[test]
fn garbage_and_silence_on_the_socket_do_no_harm() {
    let mut daemon = TestDaemon::start();
    let connect = || UnixStream::connect(daemon.socket()).unwrap();
    let mut strangers = Vec::new();
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        &[0xff; 100_000],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let mut stranger = connect();
        // It may hang up before it has read all.
        stranger.write_all(garbage).ok();
        strangers.push(stranger);
    }
    let mut silent = connect();
    let mut half = connect();
    half.write_all(b"PRI * HTTP/2.0\r\n").unwrap();
    drop(connect());
    let task = daemon.sh("true");
    assert_eq!(daemon.wait(task)["state"], "succeeded");
    for mut stranger in strangers {
        // Whatever it is told, in the end the daemon hangs up.
        stranger.read_to_end(&mut Vec::new()).ok();
    }
    assert!(daemon.terminate().success());
    silent.read_to_end(&mut Vec::new()).ok();
    drop(half);
}

#[test]
fn a_daemon_that_is_not_there_is_told() {
    let daemon = TestDaemon::prepared("");
    let at = |path: &str, args: &[&str]| Ctl::new(&daemon.path(path), &daemon.home()).call(args);
    let every: [&[&str]; 8] = [
        &["ls"],
        &["submit", "x"],
        &["run", "x"],
        &["show", "1"],
        &["cancel", "1"],
        &["status"],
        &["logs", "1"],
        &["shutdown"],
    ];
    for args in every {
        at("none", args).refused(6, &["there is no socket", "none", "hint: "]);
    }
    fs::write(daemon.path("file"), "").unwrap();
    at("file", &["ls"]).refused(6, &["is no socket", "hint: ", "--socket"]);
    fs::create_dir(daemon.path("dir")).unwrap();
    at("dir", &["ls"]).refused(6, &["is no socket"]);
    drop(UnixListener::bind(daemon.path("stale")).unwrap());
    at("stale", &["ls"]).refused(6, &["nobody listens", "hint: "]);
    at(&"x".repeat(120), &["ls"]).refused(6, &["107", "hint: "]);
    // The flag goes before the environment.
    let flag = daemon.arg("flag");
    at("none", &["ls", "--socket", &flag]).refused(6, &["flag"]);
    assert!(!daemon.state().exists(), "nothing was started");
}

/// Something else answers on the socket: no daemon of ours.
#[test]
fn a_socket_of_another_program_is_told() {
    let daemon = TestDaemon::prepared("");
    let listener = UnixListener::bind(daemon.path("other")).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
    });
    let said = Ctl::new(&daemon.path("other"), &daemon.home()).call(&["status"]);
    server.join().unwrap();
    assert_eq!(said.code, 6, "{said:?}");
    assert!(said.stderr.starts_with("agentctl: "), "{said:?}");
    assert!(said.stderr.contains("hint: "), "{said:?}");
}
