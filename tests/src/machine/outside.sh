# Holds a machine's disk and boots it when told to, from outside of it. It ends,
# and takes all of it down, when its input does: that is also when the test that
# has started it was killed. Arguments: a directory, a control group that is to
# be made, the script that becomes the machine's first process.
set -eu
umask 022
work=$1 group=$2 init=$3
disk=$work/disk root=$work/root
running=
exec 2>>"$work/console"

prepare() {
    # The mount namespace is this process's own: nothing has to be unmounted.
    mkdir "$disk" "$root"
    mount -t tmpfs -o mode=755,size=75% tmpfs "$disk"
    mkdir "$disk/upper" "$disk/work"
    mount -t overlay -o "lowerdir=/,upperdir=$disk/upper,workdir=$disk/work" overlay "$root"
    # Another machine than this one: its own name and journal, and none of the
    # services that were switched on here.
    rm -f "$root/etc/machine-id" "$root/etc/hostname" "$root/etc/fstab"
    tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
    echo machine >"$root/etc/hostname"
    : >"$root/etc/fstab"
    rm -rf "$root"/var/log/journal "$root"/var/lib/systemd/linger "$root"/var/lib/systemd/timers
    mkdir -p "$root/var/log/journal"
    rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/system/*.requires
    rm -rf "$root"/etc/systemd/user/*.wants "$root"/etc/rc?.d/S*
    # What is of no use without hardware, or would change the kernel that the
    # machine shares with this one.
    for unit in getty.target systemd-udevd.service systemd-sysctl.service \
        systemd-modules-load.service systemd-binfmt.service systemd-firstboot.service \
        systemd-remount-fs.service systemd-pstore.service kmod-static-nodes.service \
        proc-sys-fs-binfmt_misc.automount dev-hugepages.mount dev-mqueue.mount \
        sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount \
        sys-kernel-tracing.mount; do
        ln -sfn /dev/null "$root/etc/systemd/system/$unit"
    done
    mkdir -p "$root/etc/systemd/journald.conf.d"
    printf '[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\n' \
        >"$root/etc/systemd/journald.conf.d/machine.conf"
}

boot() {
    mkdir -p "$group/outside" "$group/machine" "$group/commands"
    rm -f "$work/pid"
    (
        echo "$BASHPID" >"$group/outside/cgroup.procs"
        exec unshare --mount --pid --net --ipc --uts --fork --kill-child \
            --propagation private bash -c "$init" init "$work" "$group"
    ) </dev/null >>"$work/console" 2>&1 &
    running=$!
}

# Pulls the plug, unless it has gone off by itself.
cut() {
    [ -d "$group" ] || return 0
    # All at the same moment: none is to see the end of another.
    echo 1 >"$group/cgroup.freeze"
    for _ in {1..500}; do
        grep -q 'frozen 1' "$group/cgroup.events" && break
        sleep 0.02
    done
    echo 1 >"$group/cgroup.kill"
    if [ -n "$running" ]; then wait "$running" || :; fi
    running=
    # Killed processes leave their group a moment later.
    for _ in {1..500}; do
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || :
        [ -d "$group" ] || return 0
        sleep 0.02
    done
    echo "$group cannot be removed" >&2
}

trap cut EXIT
prepare
echo ready
while read -r order; do
    "$order"
    echo "$order"
done
