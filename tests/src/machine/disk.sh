# Makes what is below $1, a copy of this machine's disk, that of another machine:
# with its own name and journal, and none of the services that are switched on
# here. (For any shell: an initial RAM disk has a small one.)
other_machine() {
    rm -f "$1/etc/machine-id" "$1/etc/hostname" "$1/etc/fstab"
    tr -d - </proc/sys/kernel/random/uuid >"$1/etc/machine-id"
    echo machine >"$1/etc/hostname"
    : >"$1/etc/fstab"
    rm -rf "$1"/var/log/journal "$1"/var/lib/systemd/linger "$1"/var/lib/systemd/timers
    mkdir -p "$1/var/log/journal"
    rm -rf "$1"/etc/systemd/system/*.wants "$1"/etc/systemd/system/*.requires
    rm -rf "$1"/etc/systemd/user/*.wants "$1"/etc/rc?.d/S*
    # What is of no use without hardware, or would change the kernel that the
    # machine shares with this one.
    for unit in getty.target systemd-udevd.service systemd-udev-trigger.service \
        systemd-sysctl.service systemd-modules-load.service systemd-binfmt.service \
        systemd-firstboot.service systemd-remount-fs.service systemd-pstore.service \
        systemd-random-seed.service ldconfig.service kmod-static-nodes.service \
        proc-sys-fs-binfmt_misc.automount dev-hugepages.mount dev-mqueue.mount \
        sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount \
        sys-kernel-tracing.mount; do
        ln -sfn /dev/null "$1/etc/systemd/system/$unit"
    done
    mkdir -p "$1/etc/systemd/journald.conf.d"
    printf '[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\n' \
        >"$1/etc/systemd/journald.conf.d/machine.conf"
}
