#!/bin/sh
# Runs on the server during a highstate. Arguments: the directory of salt-ssh's code, a command that prints the checksum of
# what is beside the shipped package, and a command that prints the states of a low state.
# First it waits for a highstate that a broken connection left running, because two at once would fight over apt; then it
# prints "ready". Before the first line of Salt's log of states, it prints the checksums of what salt-ssh shipped (the
# package's from the running call's own arguments) and the shipped states; then each line of the log as it comes. It ends
# when the runner's end of the connection is closed.
thin=$1
beside=$2
states=$3
log=$thin/running_data/highstate.log
umask 077
calls() {
    # Only root's: a student could give a process the same name.
    find /proc -maxdepth 1 -name "[0-9]*" -user root -printf "%p/cmdline\n" | xargs grep -ls "$thin/salt-cal[l]"
}
while calls | grep -q .; do
    echo busy
    sleep 1
done
rm -f "$log"
echo ready
{
    # Without inotify, tail polls. Once a second would be too late for a highstate of two seconds.
    tail -n +1 -s 0.2 -F "$log" 2>/dev/null &
    tail=$!
    cat >/dev/null
    kill "$tail"
    rm -f "$log"
} | grep --line-buffered "^Running state" | while read -r line; do
    if [ -z "${printed:-}" ]; then
        sum=$(calls | xargs cat 2>/dev/null | tr "\000" "\n" | sed -n "s/^pkg_sum=//p" | sort -u)
        # Two sums are two words, which the runner takes for "not known".
        # shellcheck disable=SC2086
        echo sums $sum "$(sh -c "$beside")"
        tar -xzOf "$thin/salt_state.tgz" lowstate.json 2>/dev/null | sh -c "$states" 2>/dev/null
        printed=yes
    fi
    echo "$line"
done
