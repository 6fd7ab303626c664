"""Checks a server from inside: disk, units, starts, material, and the sign-in provider."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from runner.agreed import FULL_PER_CENT, LEAST_FREE, PATHS
from runner.errors import CoursehubError
from runner.hub import halfway, room, warm
from runner.hub.checks import Check

#: Homes of at least so many megabytes are named when the disk is full.
BIG = 500
#: Checks that explain failures of others.
CAUSES = ("disk", "units", "starts")
#: Units that everybody needs.
ALWAYS = ("jupyterhub", "jupyterhub-proxy", "jupyterhub-work", "nginx", "ssh")
#: If these units fail, their own check says more, so the check of units skips them.
OWN_WORDS = ("coursehub-material", "coursehub-backup", "coursehub-restic", *warm.UNITS)
#: If the last starts all failed, for at least so many people within so many minutes, the hub has a problem.
NOBODY, MINUTES = 2, 15
#: Finds starts in the hub's log. The whole beginning of a line counts: what follows may quote what a student sent.
STARTS = r"""sed -n -E \
  -e 's/^\[E [^]]*\] Not starting [^:]*: [^:]*: the server of (\S*) did not start:?(.*); .journalctl.*/lost \1 \2/p' \
  -e 's/^\[I [^]]*\] User ([^ ]*) took .* to start.*/started \1/p'"""

_LOOK = rf"""
for way in k i; do
  df -P -$way / {PATHS["homes"]} /srv /var 2>/dev/null |
    awk -v way=$way 'NR > 1 {{print "disk", way, $6, $5 + 0, $4}}' | sort -u
done
for unit in {" ".join(ALWAYS)}; do
  systemctl is-active --quiet $unit || echo "dead $unit"
done
systemctl list-units --failed --plain --no-legend --no-pager | awk '$1 !~ /^(jupyter-|user@)/ {{print "failed", $1}}'
journalctl -u jupyterhub --since=-{MINUTES}min -o cat --no-pager | {STARTS}
if [ -e /etc/coursehub-material/config.json ]; then
  echo "material $(systemctl is-failed coursehub-material.service)" \
    "$(journalctl -u coursehub-material _TRANSPORT=stdout -o cat --no-pager -n 1 2>/dev/null)"
  python3 -c '
import json
for name, status in json.load(open("{PATHS["material_status"]}")).items():
    if "problem" in status:
        print("unread", name + ":", status["problem"]["line"])' 2>/dev/null
fi
if [ -e /usr/local/sbin/coursehub-backup ]; then
  echo "backup $(timeout 20 /usr/local/sbin/coursehub-backup status --line 2>/dev/null || echo bad it does not run)"
fi
true
"""
#: Fetches from the git hosts now, because the timer's last result may be out of date.
_ASK = """
if [ -e /etc/coursehub-material/config.json ]; then
  timeout 45 systemctl start coursehub-material.service 2>/dev/null
fi
"""

#: The largest homes; measured only if the disk is full.
_BIGGEST = f"timeout 40 du -s -B1M {PATHS['homes']}/* 2>/dev/null | sort -rn | head -n 3 | awk '{{print $2, $1}}'"

_PROVIDER = (
    f"cd / && PYTHONPATH={PATHS['hub']}/lib timeout 45 {PATHS['hub']}/hub/current/bin/python -B "
    "-m class_signin.try_secret /etc/jupyterhub/jupyterhub_config.py 2>/dev/null || echo odd it could not be tried"
)

Run = Callable[[str], str]


def look(run: Run, *, ask: bool = False) -> list[Check]:
    """Check the server; ``run`` runs a shell script as root there. With ``ask`` the git hosts are asked now.

    Raises CoursehubError if SSH does not work.
    """
    said = [
        line.split()
        for line in run((_ASK if ask else "") + _LOOK + room.LOOK + warm.LOOK + halfway.LOOK).splitlines()
        if line.strip()
    ]
    checks = [_disk(said, run), _units(said), _starts(said), *room.check(said), *warm.check(said), *halfway.check(said)]
    unread = [" ".join(words[1:]) for words in said if words[0] == "unread"]
    checks += [_material(words[1:], unread) for words in said if words[0] == "material"]
    return checks + [_backup(words[1:]) for words in said if words[0] == "backup"]


def _disk(said: list[list[str]], run: Run) -> Check:
    for _, way, path, used, left in (words for words in said if words[0] == "disk" and len(words) == 5):
        full = int(used) >= FULL_PER_CENT or (way == "k" and int(left) * 1024 < LEAST_FREE)
        if not full:
            continue
        what = "has no room for more files" if way == "i" else f"is {used} % full, {int(left) // 1024} MB are left"
        homes = [line.split() for line in run(_BIGGEST).splitlines()]
        big = [(home.removeprefix(f"{PATHS['homes']}/"), size) for home, size in homes if int(size) >= BIG]
        if not big:
            todo = f"homes are small; 'coursehub ssh COURSE du -xm -d2 {path} | sort -n | tail' shows what fills it"
        else:
            most = ", ".join(f"{account} {size} MB" for account, size in big)
            todo = f"most is in the homes of {most}: have them delete some"
        return Check("disk", False, f"{path} {what}; {todo}")
    return Check("disk", True, f"under {FULL_PER_CENT} % used")


def _units(said: list[list[str]]) -> Check:
    bad = sorted({words[1].removesuffix(".service") for words in said if words[0] in ("dead", "failed")})
    bad = [unit for unit in bad if unit not in OWN_WORDS]
    if bad:
        them = "it" if len(bad) == 1 else "them"
        return Check(
            "units",
            False,
            f"{', '.join(bad)} failed on the server; 'coursehub apply COURSE' starts {them}, or says why not",
        )
    return Check("units", True, "all run")


def _starts(said: list[list[str]]) -> Check:
    lost: dict[str, str] = {}
    for words in said:
        if words[0] == "lost":
            lost[words[1]] = " ".join(words[2:])
        elif words[0] == "started":
            # A later start succeeded, so the hub works again.
            lost.clear()
    if len(lost) >= NOBODY:
        why = Counter(lost.values()).most_common(1)[0][0]
        one = min(account for account, reason in lost.items() if reason == why)
        return Check(
            "starts",
            False,
            f"the last starts all failed, of {len(lost)} people in {MINUTES} minutes{f': {why}' if why else ''}; "
            f"'coursehub logs COURSE {one}' shows what their server said; 'coursehub apply COURSE' restores what is "
            "missing or changed on the server, and then 'coursehub check COURSE' tries a start",
        )
    return Check("starts", True, "nobody's start failed" if not lost else f"failed for {', '.join(sorted(lost))}")


def _material(words: list[str], unread: list[str]) -> Check:
    state, line = words[0], " ".join(words[1:])
    if unread:
        more = f" (and {len(unread) - 1} more)" if len(unread) > 1 else ""
        return Check("material", False, unread[0] + more)
    if state == "failed":
        return Check(
            "material", False, line or "the repositories were not fetched; 'coursehub apply COURSE' tries again"
        )
    return Check("material", True, "each repository was read")


def _backup(words: list[str]) -> Check:
    return Check("backup", words[:1] == ["ok"], " ".join(words[1:]))


def look_at_provider(run: Run, course_id: str, at: str) -> Check:
    """Whether the sign-in provider answers and accepts the hub's secret; ``at`` is the line of ``signin``."""
    try:
        verdict, _, line = run(_PROVIDER).strip().partition(" ")
    except CoursehubError as error:
        return Check("provider secret", False, str(error))
    match verdict:
        case "ok":
            return Check("provider secret", True, line)
        case "refused":
            todo = (
                f"copy both again from the provider's form: client_id at {at}, then 'coursehub secrets set {course_id} "
                f"oauth-client-secret' and 'coursehub apply {course_id}'"
            )
        case "silent":
            todo = (
                "nobody new gets in until it answers; look at its status page, and at the addresses in the course file"
            )
        case _:
            todo = f"look whether the values at {at} are right; 'coursehub signin {course_id}' shows the form"
    return Check("provider secret", False, f"{re.sub(r'[^ -~]', '', line)}; {todo}")
