#!/bin/sh
# Runs on the server as root: removes all accounts whose name is $1 with a number and whose comment is $2. A running hub
# keeps people in memory, so a hub that knows them is restarted. That takes two seconds; other people's servers and kernels
# keep running. $3 is the hub's database. The function `forget`, which runs forget.py, is defined before this text.
set -eu
prefix=$1
comment=$2
database=$3
accounts=$(getent passwd | awk -F: -v prefix="$prefix" -v comment="$comment" \
    '$1 ~ "^" prefix "[0-9]+$" && $5 == comment {print $1}')
units=$(for account in $accounts; do echo "jupyter-$account.service"; done)
# All at once, because stopping one takes seconds.
# shellcheck disable=SC2086
[ -z "$units" ] || systemctl stop $units || true
for account in $accounts; do
    pkill -KILL -u "$account" || true
    userdel --remove --force "$account" 2>/dev/null || true
done
cd "$(dirname "$database")"
if [ -e "$database" ] && [ "$(forget "$database" "$prefix" count)" != 0 ]; then
    systemctl stop jupyterhub
    forget "$database" "$prefix" delete >/dev/null || failed=1
    systemctl start jupyterhub
    [ -z "${failed:-}" ]
fi
