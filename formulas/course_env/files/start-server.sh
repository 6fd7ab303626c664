#!/bin/sh
# Start one student's server from the current environment. The link is resolved once, so a switch to a newer environment
# never changes what a running server or its next kernel imports.
set -eu
env=$(readlink -f {{ link }})
export PATH="$env/bin:/usr/local/bin:/usr/bin:/bin"
# Login shells find the environment by this variable (/etc/profile.d/coursehub-course.sh).
export COURSEHUB_ENV="$env"
# For Lab, which says when the link leads to a newer one.
export COURSEHUB_ENV_LINK={{ link }}
# The proxy, if the course has a closed network.
[ ! -r /etc/profile.d/coursehub-way-out.sh ] || . /etc/profile.d/coursehub-way-out.sh
# A student who removed their own rights to Jupyter's directories cannot start a server to restore them.
for kept in .jupyter .ipython .config .cache .local .local/share .local/share/jupyter; do
    [ ! -d "$HOME/$kept" ] || chmod u+rwx "$HOME/$kept" || true
done
{%- if class_links.root %}
# Links to what the class shares. They are made and removed as the owner of the home, not as root; running processes keep the
# groups of their start anyway. Other files with such a name stay, and nothing in a home prevents the start of the server.
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
    # Remove links to teams that the person left. Links to something inside a team's directory are the person's own.
    if [ -d groups ] && [ ! -L groups ]; then
        find groups -mindepth 1 -maxdepth 1 -type l -lname "$all/*" ! -lname "$all/*/*" "$@" -delete
    fi
{%- endif %}
) || true
{%- endif %}
{%- if earlier %}
(
    cd "$HOME" || exit
    link() {
        if [ -d "$2" ] && [ ! -e "$1" ] && [ ! -L "$1" ]; then
            ln -sT "$2" "$1"
        elif [ ! -e "$2" ] && [ "$(readlink "$1")" = "$2" ]; then
            rm "$1"
        fi
    }
    link 'Earlier versions' {{ earlier }}/home
    link 'Earlier versions of groups' {{ earlier }}/groups
) || true
{%- endif %}
# Jupyter and IPython write into the home when they start. Where it is full they write elsewhere until the next start, so
# that its owner gets in and can delete. The same where something else has the place of one of their directories: a file
# or a dead link there would end each kernel, or no notebook would open. In .local and its share they only make the next
# directory, so one that is there is enough.
usable() {
    for place in .jupyter .jupyter/lab .ipython .ipython/profile_default .local .local/share .local/share/jupyter; do
        if [ -L "$HOME/$place" ] || [ -e "$HOME/$place" ]; then
            [ -d "$HOME/$place" ] && [ -x "$HOME/$place" ] || return 1
            case $place in
            .local) [ -d "$HOME/.local/share" ] || [ -w "$HOME/.local" ] || return 1 ;;
            .local/share) [ -d "$HOME/.local/share/jupyter" ] || [ -w "$HOME/.local/share" ] || return 1 ;;
            *) [ -w "$HOME/$place" ] || return 1 ;;
            esac
        fi
    done
    # The file is new: a pipe with its name would block the start.
    room=$(mktemp "$HOME/.coursehub-room.XXXXXX") && head -c 65536 /dev/zero > "$room"
}
if ! usable 2> /dev/null; then
    aside=$(mktemp -d) && export JUPYTER_CONFIG_DIR="$aside/config" JUPYTER_DATA_DIR="$aside/data" IPYTHONDIR="$aside/ipython"
fi
rm -f "$HOME/.coursehub-room".* || true
{%- if image %}
# The server removes this link when it serves. If it is still there, the last start from the image failed, and this one is
# an ordinary start, as if there is no room for a link. A link, because making one opens nothing that its owner put there.
warm='{{ python }} -I -S {{ lib }}/class_warm/begin.py {{ image }}'
if ! ln -sT starting "$HOME/.coursehub-starting" 2> /dev/null; then
    warm=
    [ ! -L "$HOME/.coursehub-starting" ] || rm -f "$HOME/.coursehub-starting" || true
fi
{%- endif %}
# What follows makes no directory without the limit that its home has.
exec {{ python }} -I -S {{ lib }}/class_server/limited.py {{ '$warm ' if image }}"$env/bin/python" -P {{ lib }}/class_server/single_user.py "$@"
