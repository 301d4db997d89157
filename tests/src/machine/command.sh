# Runs a script as a user, from inside of a machine. Arguments: user, script.
set -eu
home=$(getent passwd "$1" | cut -d: -f6)
runtime=/run/user/$(id -u "$1")
user=$1 script=$2
set -- HOME="$home" USER="$user" LOGNAME="$user" LANG=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# A user who has a manager is given the way to it, as by a login.
if [ -S "$runtime/bus" ]; then
    set -- "$@" XDG_RUNTIME_DIR="$runtime" DBUS_SESSION_BUS_ADDRESS="unix:path=$runtime/bus"
fi
cd "$home" 2>/dev/null || cd /
exec env -i "$@" setpriv --reuid="$user" --regid="$user" --init-groups sh -c "$script"
