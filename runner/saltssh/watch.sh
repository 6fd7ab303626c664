#!/bin/sh
# Runs on the server while a highstate does, given the directory of salt-ssh's code there, a command that prints the sum
# of what lies beside the package, and one that prints the states of a low state. First it waits for a highstate that a
# broken connection left running (two at once would fight over apt) and prints "ready". Then it prints each line of
# Salt's own log of states as it comes, and before the first which states salt-ssh shipped and the sums of what it
# shipped, the package's as the running call itself was told it. It ends when the runner's end of the connection does,
# however that comes.
thin=$1
beside=$2
states=$3
log=$thin/running_data/highstate.log
umask 077
calls() {
    # Of root only: a student could give a process of theirs the same name.
    find /proc -maxdepth 1 -name "[0-9]*" -user root -printf "%p/cmdline\n" | xargs grep -ls "$thin/salt-cal[l]"
}
while calls | grep -q .; do
    echo busy
    sleep 1
done
rm -f "$log"
echo ready
{
    # Where the kernel gives it no news of a file it looks: once a second is too late for a highstate of two.
    tail -n +1 -s 0.2 -F "$log" 2>/dev/null &
    tail=$!
    cat >/dev/null
    kill "$tail"
    rm -f "$log"
} | grep --line-buffered "^Running state" | while read -r line; do
    if [ -z "${told:-}" ]; then
        sum=$(calls | xargs cat 2>/dev/null | tr "\000" "\n" | sed -n "s/^pkg_sum=//p" | sort -u)
        # More than one sum is printed as more than one word, which the runner takes for "not known".
        # shellcheck disable=SC2086
        echo sums $sum "$(sh -c "$beside")"
        tar -xzOf "$thin/salt_state.tgz" lowstate.json 2>/dev/null | sh -c "$states" 2>/dev/null
        told=yes
    fi
    echo "$line"
done
