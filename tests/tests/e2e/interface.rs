//! The socket itself: health, reflection, and who may use it.

use std::{
    io::{ErrorKind, Read as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream, process::CommandExt as _},
    process::Stdio,
};

use agentd_tests::{Output, TestDaemon, v1, wait_until};
use nix::unistd::{User, geteuid};
use tonic::{Code, Request};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

#[tokio::test]
async fn health_and_reflection_answer() {
    let daemon = TestDaemon::start();
    let channel = daemon.channel().await;
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "agentd.v1.Control"] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let request = HealthCheckRequest {
        service: "agentd.v1.Nothing".to_owned(),
    };
    assert_eq!(
        health.check(request).await.unwrap_err().code(),
        Code::NotFound
    );

    let mut reflection = ServerReflectionClient::new(channel);
    let ask = |what| {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(what),
        };
        Request::new(tokio_stream::once(request))
    };
    let list = ask(MessageRequest::ListServices(String::new()));
    let mut answers = reflection
        .server_reflection_info(list)
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(services)) = answer else {
        panic!("{answer:?}");
    };
    let names: Vec<_> = services
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    for name in [
        "agentd.v1.Control",
        "agentd.v1.Runner",
        "grpc.health.v1.Health",
    ] {
        assert!(names.iter().any(|known| known == name), "{names:?}");
    }
    let symbol = ask(MessageRequest::FileContainingSymbol(
        "agentd.v1.Task".to_owned(),
    ));
    let mut answers = reflection
        .server_reflection_info(symbol)
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    assert!(
        matches!(answer, Some(MessageResponse::FileDescriptorResponse(_))),
        "{answer:?}"
    );
}

/// The file's mode keeps others out; and if somebody opened it to them, the
/// daemon does.
#[test]
fn another_user_is_refused() {
    let daemon = TestDaemon::start();
    if !geteuid().is_root() {
        // Only root can be somebody else. What is left to check: nobody else
        // gets as far as the socket.
        let mode = |path| {
            std::fs::metadata(daemon.path(path))
                .unwrap()
                .permissions()
                .mode()
        };
        assert_eq!((mode("run") & 0o077, mode("run/s") & 0o077), (0, 0));
        return;
    }
    let nobody = User::from_name("nobody").unwrap().expect("a user nobody");
    // A copy that nobody may run.
    let copy = daemon.path("agentctl");
    std::fs::copy(agentd_tests::program("agentctl"), &copy).unwrap();
    let open = |path: &str, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(daemon.path(path), mode).unwrap();
    };
    open("", 0o755);
    open("agentctl", 0o755);
    let as_nobody = || {
        let call = daemon.agentctl().command(&["ls"]);
        let mut command = agentd_tests::like(&call, &copy);
        command
            .uid(nobody.uid.as_raw())
            .gid(nobody.gid.as_raw())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Output::wait(command.spawn().unwrap())
    };
    as_nobody().refused(7, &["permission denied", "hint: "]);
    open("run", 0o755);
    open("run/s", 0o666);
    as_nobody().refused(7, &["uid", "may not talk to this daemon", "hint: "]);
    let _said = daemon.ctl(&["ls"]).ok();
}

/// A connection that was hung up on, as soon as that shows.
fn is_closed(stream: &UnixStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    match (&*stream).read(&mut [0; 1]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn connections_without_end_leave_room_for_work() {
    let mut daemon = TestDaemon::prepared("[daemon]\nmax_running = 4\n");
    daemon.start_after("ulimit -n 256");
    daemon.launch();
    let task = daemon.sh("exec sleep 1000");
    daemon.wait_state(task, "running");
    // All of what one user may have, and more.
    let many: Vec<_> = (0..200)
        .map(|_| UnixStream::connect(daemon.socket()).unwrap())
        .collect();
    let closed = || many.iter().filter(|stream| is_closed(stream)).count();
    wait_until("what is too much is hung up on", || closed() >= 200 - 128);
    assert!(closed() < 100, "it hangs up on others, too");
    let log = daemon.log();
    assert!(log.contains("too many connections"), "{log}");
    drop(many);
    wait_until("it answers again", || daemon.ctl(&["status"]).code == 0);
    assert_eq!(daemon.state_of(task), "running");
    let next = daemon.sh("true");
    assert_eq!(daemon.wait(next)["state"], "succeeded");
}

#[tokio::test]
async fn what_a_call_says_of_itself_has_a_limit() {
    let daemon = TestDaemon::start();
    let mut client = daemon.client().await;
    let ask = |length: usize| {
        let mut request = Request::new(v1::StatusRequest::default());
        let value = "x".repeat(length).parse().unwrap();
        request.metadata_mut().insert("x-much", value);
        request
    };
    assert!(client.status(ask(8 * 1024)).await.is_ok());
    let refused = client.status(ask(64 * 1024)).await;
    assert!(refused.is_err(), "{refused:?}");
    // The daemon, and whoever asks in measure, go on.
    assert!(daemon.client().await.status(ask(10)).await.is_ok());
}
