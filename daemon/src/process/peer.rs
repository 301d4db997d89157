//! What the kernel says of the process at the other end of a socket, besides
//! what its credentials (`SO_PEERCRED`) say.

use std::os::fd::{AsFd, AsRawFd as _};

use nix::{errno::Errno, libc};

/// Groups that there is room for at first; hardly anybody has more.
const USUAL: usize = 64;
/// The most that a process can have (`NGROUPS_MAX`).
const MOST: usize = 65536;

/// The groups of the process that made this connection, as they were then: `own`,
/// the one of its credentials, then its supplementary ones. A kernel that does not
/// tell those (before 4.13) leaves `own`.
pub fn peer_groups(socket: &impl AsFd, own: u32) -> Vec<u32> {
    let mut groups = vec![own];
    let mut room = USUAL;
    loop {
        let mut found = vec![0_u32; room];
        match supplementary(socket, &mut found) {
            Ok(length) => {
                groups.extend(found.into_iter().take(length));
                return groups;
            }
            Err(Errno::ERANGE) if room < MOST => room = MOST,
            Err(error) => {
                tracing::debug!(%error, "the kernel does not tell a caller's groups");
                return groups;
            }
        }
    }
}

/// How many groups were written.
fn supplementary(socket: &impl AsFd, groups: &mut [u32]) -> nix::Result<usize> {
    let size = size_of_val(groups);
    let mut length = libc::socklen_t::try_from(size).map_err(|_| Errno::EINVAL)?;
    #[expect(unsafe_code, reason = "no library has this socket option")]
    // SAFETY: the kernel writes at most `length` bytes of numbers into `groups`,
    // which is so large and lives as long as the call, and says how many in
    // `length`; the descriptor is borrowed for the call.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    Errno::result(answer)?;
    Ok(length as usize / size_of::<u32>())
}
