//! A daemon that is not there, is of another version, or refuses.

use std::fs;

use agentd_proto::reason;
use tonic::{Code, Status};

use super::{
    agentctl, at,
    canned::{Daemon, Script, socket, status},
    ran,
};

#[test]
fn a_socket_that_does_not_answer_says_why() {
    let (dir, socket) = socket();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let stale = dir.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let long = dir.path().join("x".repeat(120));
    for (path, says) in [
        (&socket, "there is no socket"),
        (&file, "is no socket"),
        (&stale, "nobody listens at"),
        (&long, "a socket's may have 107"),
    ] {
        let args = ["ls", "--socket", path.to_str().unwrap()];
        let (code, out, err) = ran(&mut agentctl(&args));
        assert_eq!((code, out.as_str()), (6, ""), "{err}");
        assert!(err.starts_with("agentctl: cannot reach agentd: "), "{err}");
        assert!(err.contains(says) && err.contains("\nhint: "), "{err}");
    }
}

#[test]
fn a_daemon_of_another_version_is_told_from_one_that_refuses() {
    let (_dir, socket) = socket();
    let denied = status(
        Code::PermissionDenied,
        reason::NOT_PERMITTED,
        "user 1001 may not change anything here",
    );
    let _daemon = Daemon::start(
        &socket,
        Script {
            reruns: [
                Err(Status::unimplemented("what is that?")),
                Err(denied),
                Err(Status::internal("broken")),
            ]
            .into(),
            ..Script::default()
        },
    );
    let own = env!("CARGO_PKG_VERSION");
    let (code, out, err) = ran(&mut at(&socket, &["rerun", "42"]));
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(
        err,
        format!(
            "agentctl: agentd does not know how to do that: agentd is 9.9.9, agentctl is {own}\n\
             hint: after an upgrade: agentctl shutdown ends the old agentd, and running agents go on\n"
        )
    );
    let (code, _, err) = ran(&mut at(&socket, &["rerun", "42"]));
    assert_eq!(code, 7);
    assert_eq!(
        err,
        "agentctl: user 1001 may not change anything here\n\
         hint: only the daemon's own user may do this\n"
    );
    let (code, _, err) = ran(&mut at(&socket, &["rerun", "42"]));
    assert_eq!((code, err.as_str()), (1, "agentctl: broken\n"));
}
