//! Connections that another process has made, and is gone.

use std::{
    io::{self, IoSliceMut},
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::net::UnixStream,
    },
};

use agentd_proto::v1::control_client::ControlClient;
use hyper_util::rt::TokioIo;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use tonic::transport::{Channel, Endpoint, Uri};

use crate::{
    daemon::TestDaemon,
    program::{command, program},
};

/// A connection to the daemon, made by a process that has ended since.
///
/// # Panics
/// If there is none to be had.
#[must_use]
pub fn connected_by_another(daemon: &TestDaemon) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets can be made");
    let mut lender = command(&program("fake-agent"), &daemon.home());
    lender.arg("lend").arg(daemon.socket());
    lender.stdin(OwnedFd::from(theirs));
    let lent = lender.status().expect("an agent can be started");
    assert!(lent.success(), "{lent}");
    drop(lender);
    let mut byte = [0];
    let mut data = [IoSliceMut::new(&mut byte)];
    let mut room = nix::cmsg_space!([i32; 1]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let got = recvmsg::<()>(ours.as_raw_fd(), &mut data, Some(&mut room), flags)
        .expect("it has sent something");
    let mut messages = got.cmsgs().expect("there is room for all of it");
    let fd = messages.find_map(|message| {
        let ControlMessageOwned::ScmRights(fds) = message else {
            return None;
        };
        fds.first().copied()
    });
    let fd = fd.expect("a descriptor was sent");
    #[expect(unsafe_code, reason = "a descriptor that came in a message")]
    // SAFETY: the kernel has just made it for this message; nobody else knows it.
    unsafe {
        UnixStream::from_raw_fd(fd)
    }
}

impl TestDaemon {
    /// A client over a connection that was made by somebody else.
    ///
    /// # Panics
    /// If nobody answers on it.
    pub async fn client_over(&self, stream: UnixStream) -> ControlClient<Channel> {
        stream
            .set_nonblocking(true)
            .expect("a socket need not block");
        let stream = tokio::net::UnixStream::from_std(stream).expect("it is a socket");
        let mut stream = Some(TokioIo::new(stream));
        let connector = tower::service_fn(move |_: Uri| {
            let stream = stream.take();
            async move { stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
        });
        let channel = Endpoint::from_static("http://agentd.invalid")
            .connect_with_connector(connector)
            .await;
        ControlClient::new(channel.expect("the daemon answers"))
    }
}
