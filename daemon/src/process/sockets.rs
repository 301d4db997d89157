//! Keeps a tree of processes off the sockets of the file system, by seccomp(2).
//!
//! Landlock does not know them. Who connects to one is asked for nothing but its
//! user: a program there would be obeyed by our own daemon, the service manager and
//! an ssh-agent. Sockets of the network are as open as without it.

use std::{io, mem::offset_of};

use nix::{errno::Errno, libc};

/// The kernel's name of this machine's calls (linux/audit.h): numbers mean something
/// else to a program of another kind.
#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xC000_00B7;
#[cfg(target_arch = "riscv64")]
const ARCH: u32 = 0xC000_00F3;
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
)))]
compile_error!("say here what the kernel calls the calls of this architecture (linux/audit.h)");

/// From here on the numbers are those of another kind of program (x32).
const OTHERS: u32 = 0x4000_0000;

const fn number(call: libc::c_long) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "calls have small numbers"
    )]
    {
        call as u32
    }
}

const fn offset(of: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the structure is small")]
    {
        of as u32
    }
}

const fn code(of: u32) -> u16 {
    #[expect(clippy::cast_possible_truncation, reason = "they have 16 bits")]
    {
        of as u16
    }
}

/// Loads a word of what is called.
const fn load(offset: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS),
        jt: 0,
        jf: 0,
        k: offset,
    }
}

/// Goes so many steps further, if what was loaded is this; else, as many.
const fn is(value: u32, then: u8, otherwise: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K),
        jt: then,
        jf: otherwise,
        k: value,
    }
}

const fn is_at_least(value: u32, then: u8, otherwise: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: code(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K),
        jt: then,
        jf: otherwise,
        k: value,
    }
}

const fn answer(action: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code(libc::BPF_RET | libc::BPF_K),
        jt: 0,
        jf: 0,
        k: action,
    }
}

const REFUSED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;

/// Steps of the filter.
const STEPS: u16 = 11;

/// Rings make sockets, too, and no filter sees it.
static FILTER: [libc::sock_filter; STEPS as usize] = [
    load(offset(offset_of!(libc::seccomp_data, arch))),
    is(ARCH, 0, 7),
    load(offset(offset_of!(libc::seccomp_data, nr))),
    is_at_least(OTHERS, 5, 0),
    is(number(libc::SYS_io_uring_setup), 4, 0),
    is(number(libc::SYS_socket), 1, 0),
    is(number(libc::SYS_socketpair), 0, 3),
    load(offset(offset_of!(libc::seccomp_data, args))),
    is(libc::AF_UNIX as u32, 0, 1),
    answer(REFUSED),
    answer(libc::SECCOMP_RET_ALLOW),
];

/// Has the calling thread, and all that it starts, make no socket of the file system
/// any more. It must have given up gaining rights. Makes system calls and nothing else:
/// for a child before its exec.
///
/// # Errors
/// If the kernel refuses; the process is then to go no further.
pub(super) fn keep_off() -> io::Result<()> {
    let program = libc::sock_fprog {
        len: STEPS,
        filter: FILTER.as_ptr().cast_mut(),
    };
    #[expect(unsafe_code, reason = "no library makes a filter without allocating")]
    // SAFETY: the kernel copies the program, which is valid for all of the call.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::c_long::from(libc::SECCOMP_SET_MODE_FILTER),
            0 as libc::c_long,
            &raw const program,
        )
    };
    Errno::result(answer)?;
    Ok(())
}
