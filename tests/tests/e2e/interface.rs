//! The socket itself: health, reflection, and who may use it.

use std::{
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Stdio,
};

use agentd_tests::{Output, TestDaemon};
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
