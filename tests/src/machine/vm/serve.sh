# Does inside of the machine what it is asked for: each line that comes is the
# number of a request, whose parts are files. The answer is that, and a code.
set -u
cd /srv/requests
stty raw -echo </dev/ttyS1
exec 3<>/dev/ttyS1
echo up >&3
while read -r number <&3; do
    sh command.sh "$(cat "$number.user")" "$(cat "$number.script")" \
        >/run/request.out 2>/run/request.err </dev/null
    code=$?
    cp /run/request.out "$number.out"
    cp /run/request.err "$number.err"
    echo "$number $code" >&3
done
