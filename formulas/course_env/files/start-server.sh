#!/bin/sh
# Starts one student's server from the environment that serves now. The link is resolved once: a switch to a newer
# environment never changes what a running server or its next kernel imports.
set -eu
env=$(readlink -f {{ link }})
export PATH="$env/bin:/usr/local/bin:/usr/bin:/bin"
# systemd makes this directory for the unit, 0700 and short: the kernels' sockets must fit in 107 bytes.
if [ -n "${RUNTIME_DIRECTORY:-}" ]; then
    export JUPYTER_RUNTIME_DIR="$RUNTIME_DIRECTORY"
fi
{%- for name, target in home_links | dictsort %}
# Shared by all. What the student has of that name stays theirs.
if [ -d {{ target }} ] && [ ! -e "$HOME/{{ name }}" ] && [ ! -L "$HOME/{{ name }}" ]; then
    ln -s {{ target }} "$HOME/{{ name }}" || true
fi
{%- endfor %}
exec "$env/bin/jupyterhub-singleuser" "$@"
