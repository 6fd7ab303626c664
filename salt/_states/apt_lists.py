"""The lists of Debian's packages, loaded when a package is missing.

Salt loads them itself before it installs something, but once only: apt waits for dpkg's lock and not for that of the
lists, which a cloud's agents take each hour, and one source of somebody else's that breaks fails it for all packages.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import salt.utils.pkg

#: Salt puts them into a state module when it loads one.
__opts__: dict[str, Any]
__salt__: dict[str, Callable[..., Any]]
__lowstate__: Sequence[Mapping[str, Any]]

SOURCES = Path("/etc/apt")
#: The files that a Debian or Ubuntu image has from its maker; all others are somebody else's.
OWN = ("sources.list", "sources.list.d/debian.sources", "sources.list.d/ubuntu.sources")
#: Seconds between two looks at a lock that somebody holds.
PAUSE = 2.0
_HELD = re.compile(r"Could not get lock \S*/lists/lock|Unable to lock directory \S*/lists")
_HOST = re.compile(r"^(?:[EW]:|Err:).*?https?://([^/\s]+)/", re.MULTILINE)


def fresh(name: str, lock_timeout: float = 300) -> dict[str, Any]:
    """Have lists that are as new as this run, if a package of this run is not installed yet.

    name
        What the state is called.
    lock_timeout
        Seconds to wait for another program that loads lists.
    """
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": "Every package is installed."}
    missing = sorted(_wanted() - set(__salt__["pkg.list_pkgs"]()))
    if not missing:
        return ret
    if __opts__["test"]:
        ret["comment"] = "The lists would be loaded."
        return ret
    done = _update([], lock_timeout)
    said = f"{done['stderr']}\n{done['stdout']}"
    foreign = _foreign()
    if done["retcode"]:
        trouble = _own(lock_timeout) if foreign else _errors(said)
        if trouble:
            return {**ret, "result": False, "comment": trouble}
    ret["comment"] = "The lists were loaded."
    # Of a host that does not answer apt only warns.
    broken = set(_HOST.findall(said)) - _own_hosts()
    if foreign and (broken or done["retcode"]):
        what = ", ".join(sorted(broken)) or _errors(said).splitlines()[0][:200]
        ret["warnings"] = [
            f"apt has a source that is not Debian's and does not work ({what}; see {', '.join(foreign)} in {SOURCES}); "
            "everything of ours goes on, and nothing comes from there: mend or remove that file"
        ]
    # Salt's first package state has nothing to load any more.
    salt.utils.pkg.clear_rtag(__opts__)
    return ret


def _wanted() -> set[str]:
    """The packages that this run's states want installed."""
    found: set[str] = set()
    for low in __lowstate__ or ():
        if low.get("state") == "pkg" and low.get("fun") == "installed":
            for one in low.get("pkgs") or [low.get("name")]:
                found.update([one] if isinstance(one, str) else one)
    return found


def _update(options: list[str], lock_timeout: float) -> dict[str, Any]:
    """Load lists, behind whoever holds their lock; what apt-get said at the end."""
    deadline = time.monotonic() + lock_timeout
    while True:
        done: dict[str, Any] = __salt__["cmd.run_all"](
            ["apt-get", "-q", *options, "update"],
            python_shell=False,
            ignore_retcode=True,
            output_loglevel="quiet",
            env={"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
        )
        held = done["retcode"] and _HELD.search(done["stderr"] + done["stdout"])
        if not held or time.monotonic() > deadline:
            return done
        time.sleep(PAUSE)


def _own(lock_timeout: float) -> str:
    """Load the lists of Debian's own sources alone; an empty string, or what is wrong with these."""
    for path in _own_files():
        # The others' lists stay.
        alone = [
            "-o",
            f"Dir::Etc::SourceList={path}",
            "-o",
            "Dir::Etc::SourceParts=-",
            "-o",
            "APT::Get::List-Cleanup=0",
        ]
        done = _update(alone, lock_timeout)
        if done["retcode"]:
            return _errors(f"{done['stderr']}\n{done['stdout']}")
    return ""


def _own_files() -> list[Path]:
    paths = [SOURCES / file for file in OWN]
    return [path for path in paths if path.exists() and path.read_text(encoding="utf-8", errors="replace").strip()]


def _own_hosts() -> set[str]:
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in _own_files()]
    return {host for text in texts for host in re.findall(r"https?://([^/\s]+)", text)}


def _foreign() -> list[str]:
    """The files with sources that are not the image's own, as paths below /etc/apt."""
    parts = SOURCES / "sources.list.d"
    found = sorted(parts.iterdir()) if parts.is_dir() else []
    names = [str(path.relative_to(SOURCES)) for path in found if path.suffix in (".list", ".sources")]
    return [name for name in names if name not in OWN]


def _errors(said: str) -> str:
    """All that apt-get called an error."""
    lines = [line for line in said.splitlines() if line.startswith("E: ")]
    return "\n".join(lines) or said.strip()[-500:] or "apt-get update failed without a word"
