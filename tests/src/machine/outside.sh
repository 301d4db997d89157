# (Behind `disk.sh`.) Holds a machine's disk and boots it when told to, from outside of it. It ends,
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
    other_machine "$root"
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
