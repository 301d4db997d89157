# Becomes the first process of a machine: it is number 1 of its own namespaces.
set -eu
umask 022
work=$1 group=$2 root=$work/root
# This is the /proc of outside, where it has another number.
read -r pid _ </proc/self/stat
echo 0 >"$group/machine/cgroup.procs"

mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
for node in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "$root/dev/${node%:*}" c 1 "${node#*:}"
done
mknod -m 666 "$root/dev/tty" c 5 0
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"
: >"$root/dev/console"
mount --bind "$work/console" "$root/dev/console"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"
# The kernel is shared: it is not the machine's to change.
for part in sys sysrq-trigger; do
    [ -e "$root/proc/$part" ] || continue
    mount --bind "$root/proc/$part" "$root/proc/$part"
    mount -o remount,bind,ro "$root/proc/$part"
done
# Each boot has another id, as after a start of the hardware.
cat /proc/sys/kernel/random/uuid >"$root/run/boot_id"
mount --bind "$root/run/boot_id" "$root/proc/sys/kernel/random/boot_id"

echo "$pid" >"$work/pid"
# Groups are seen from here downwards.
exec unshare --cgroup bash -c '
    set -eu
    cd "$1"
    mount -t cgroup2 -o nosuid,nodev,noexec,nsdelegate cgroup2 sys/fs/cgroup 2>/dev/null ||
        mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup
    mkdir -p .outside
    pivot_root . .outside
    cd /
    umount -l /.outside && rmdir /.outside
    exec env -i container=agentd-tests LANG=C.UTF-8 TERM=dumb \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd systemd.unit=multi-user.target systemd.show_status=0
' init "$root"
