"""What is archived, and the scripts for root on the server: how much it is, whether it changed, and its tar stream."""

from __future__ import annotations

import re
from dataclasses import dataclass

from runner.agreed import ACCOUNTS, PATHS


@dataclass(frozen=True)
class Source:
    """The places of a server. In the archive, the paths of directories have no slash at their beginning."""

    homes: str = PATHS["homes"]
    shared: str = PATHS["shared"]
    """Has the directories ``shared`` and ``groups``; in the latter there is a directory for each team."""
    database: str = PATHS["hub_database"]
    openings: str = PATHS["openings"]

    @property
    def teams(self) -> str:
        """The directory of the teams' directories."""
        return f"{self.shared}/groups"

    def size(self) -> str:
        """Prints the bytes that the files take on the disk."""
        return self._filled(_SIZE)

    def work(self) -> str:
        """Prints "work" if anybody has left a file, except what a new home has."""
        return self._filled(_WORK)

    def changed(self, since: int) -> str:
        """Prints "changed" if anything was made, written, renamed or removed since then, by the server's clock."""
        return self._filled(_CHANGED, SINCE=str(since))

    def pack(self) -> str:
        """Writes the tar stream to standard output.

        The last line on standard error is "done SECONDS", with the time when it began by the server's clock.
        """
        return self._filled(_PACK)

    def _filled(self, script: str, **more: str) -> str:
        facts = {
            "HOMES": self.homes,
            "SHARED": self.shared,
            "TEAMS": self.teams,
            "DATABASE": self.database,
            "OPENINGS": self.openings,
            "CHECK": ACCOUNTS["check"],
            **more,
        }
        return re.sub(r"@([A-Z]+)@", lambda match: facts[match[1]], script)


_SIZE = """
du --summarize --total --block-size=1 @HOMES@ @SHARED@/shared @TEAMS@ 2>/dev/null | tail -n 1 | cut -f 1
"""

_WORK = """
cd @HOMES@ 2>/dev/null && for home in *; do
    [ "$home" = @CHECK@ ] || [ ! -d "$home" ] || [ -h "$home" ] && continue
    [ -n "$(ls -A "$home")" ] || continue
    # What takes longer than a minute to compare is work too.
    timeout 60 diff --recursive --brief --no-dereference /etc/skel "$home" > /dev/null || { echo work; exit 0; }
done
find @SHARED@/shared @TEAMS@/* -mindepth 1 -print -quit 2>/dev/null | grep -q . && echo work
true
"""

# A person can choose a file's time of writing, but not the time when its entry changed (-newerct).
_CHANGED = """
find @HOMES@ @SHARED@/shared @TEAMS@ -regex '@HOMES@/[^/]*/\\.cache' -prune -o -path @HOMES@/@CHECK@ -prune \\
    -o -newerct @@SINCE@ -print -quit \\
    2>/dev/null | grep -q . && echo changed
true
"""

# tar follows no link, keeps holes, and gives every entry the name of its owner. Its exit code 1 says that files changed
# while it read them.
_PACK = """
set -eu
umask 077
began=$(date +%s)
work=$(mktemp -d /run/coursehub-archive.XXXXXX)
trap 'rm -rf "$work"' EXIT
mkdir "$work/hub"
if [ -e @DATABASE@ ]; then
    python3 - @DATABASE@ "$work/hub/jupyterhub.sqlite" <<'END'
import contextlib, sqlite3, sys
with contextlib.closing(sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, timeout=60)) as there:
    with contextlib.closing(sqlite3.connect(sys.argv[2])) as copy:
        there.backup(copy)
END
fi
if [ -e @OPENINGS@ ]; then cp @OPENINGS@ "$work/hub/openings.log"; fi
cp /etc/passwd /etc/group "$work/hub/"
cd /
# Each is named, because it may be a file system of its own. What else is mounted in one is left out.
for one in @HOMES@/* @SHARED@/shared @TEAMS@/*; do
    [ ! -d "$one" ] || [ -h "$one" ] || [ "$one" = @HOMES@/@CHECK@ ] || printf '%s\\0' "${one#/}"
done > "$work/list"
home=@HOMES@
code=0
nice -n 15 ionice -c 3 \\
    tar --create --format=posix --sparse --acls --xattrs --one-file-system --ignore-failed-read \\
    --anchored --no-wildcards-match-slash --exclude="${home#/}/*/.cache" \\
    --directory="$work" hub --directory=/ --null --verbatim-files-from --files-from="$work/list" || code=$?
[ "$code" -le 1 ] || exit "$code"
echo "done $began" >&2
"""
