#!/bin/sh
# Starts one student's server from the environment that serves now. The link is resolved once: a switch to a newer
# environment never changes what a running server or its next kernel imports.
set -eu
env=$(readlink -f {{ link }})
export PATH="$env/bin:/usr/local/bin:/usr/bin:/bin"
# By this login shells find it again (/etc/profile.d/coursehub-course.sh).
export COURSEHUB_ENV="$env"
# The one way out, where a course has closed all others.
[ ! -r /etc/profile.d/coursehub-way-out.sh ] || . /etc/profile.d/coursehub-way-out.sh
# Who took from themselves the rights to what Jupyter keeps in a home cannot start a server to give them back.
for kept in .jupyter .ipython .config .cache .local .local/share .local/share/jupyter; do
    [ ! -d "$HOME/$kept" ] || chmod u+rwx "$HOME/$kept" || true
done
{%- if class_links.root %}
# Links to what the class shares, made and dropped as whoever's home it is: root has no business there, and what runs has the
# groups with which it started anyway. What else has such a name stays, and nothing in a home keeps the server from starting.
(
    cd "$HOME" || exit
    for name in {{ class_links.names | join(' ') }}; do
        target={{ class_links.root }}/$name
        if [ -d "$target" ] && [ ! -e "$name" ] && [ ! -L "$name" ]; then
            ln -sT "$target" "$name"
        elif [ ! -e "$target" ] && [ "$(readlink "$name")" = "$target" ]; then
            rm "$name"
        fi
    done
{%- if class_links.team_prefix %}
    all={{ class_links.root }}/groups
    set --
    for group in $(id -Gn); do
        team=${group#{{ class_links.team_prefix }}}
        [ "$team" != "$group" ] && [ -d "$all/$team" ] || continue
        set -- "$@" ! -lname "$all/$team"
        [ -e groups ] || [ -L groups ] || mkdir -m 0700 groups
        [ -d groups ] && [ ! -L groups ] || continue
        [ -e "groups/$team" ] || [ -L "groups/$team" ] || ln -sT "$all/$team" "groups/$team"
    done
    # To teams that were left. A link to something in a team's directory is its owner's own.
    if [ -d groups ] && [ ! -L groups ]; then
        find groups -mindepth 1 -maxdepth 1 -type l -lname "$all/*" ! -lname "$all/*/*" "$@" -delete
    fi
{%- endif %}
) || true
{%- endif %}
exec "$env/bin/python" -P {{ lib }}/class_server/single_user.py "$@"
