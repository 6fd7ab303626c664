"""Debian's package lists, loaded when a package is missing.

Salt itself loads them before it installs something, but it tries only once. apt waits for dpkg's lock, but not for the
lock of the lists, which a cloud's agents take each hour. And one broken source that is not Debian's makes it fail for
all packages.
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
#: The files of a Debian or Ubuntu image itself; all others are foreign sources.
OWN = ("sources.list", "sources.list.d/debian.sources", "sources.list.d/ubuntu.sources")
#: Seconds between two tries while another program holds the lock.
PAUSE = 2.0
_HELD = re.compile(r"Could not get lock \S*/lists/lock|Unable to lock directory \S*/lists")
_HOST = re.compile(r"^(?:[EW]:|Err:).*?https?://([^/\s]+)/", re.MULTILINE)


def fresh(name: str, lock_timeout: float = 300) -> dict[str, Any]:
    """Load the lists once in this run, if a package of this run is not installed yet.

    name
        The name of the state.
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
    # For a host that does not answer, apt only warns.
    broken = set(_HOST.findall(said)) - _own_hosts()
    if foreign and (broken or done["retcode"]):
        what = ", ".join(sorted(broken)) or _errors(said).splitlines()[0][:200]
        ret["warnings"] = [
            f"apt has a source that is not Debian's and does not work ({what}; see {', '.join(foreign)} in {SOURCES}); "
            "our packages are not affected, and nothing comes from there: fix or remove that file"
        ]
    # So that Salt's first package state does not load the lists again.
    salt.utils.pkg.clear_rtag(__opts__)
    return ret


def _wanted() -> set[str]:
    """Return the packages that this run's states install."""
    found: set[str] = set()
    for low in __lowstate__ or ():
        if low.get("state") == "pkg" and low.get("fun") == "installed":
            for one in low.get("pkgs") or [low.get("name")]:
                found.update([one] if isinstance(one, str) else one)
    return found


def _update(options: list[str], lock_timeout: float) -> dict[str, Any]:
    """Load lists, waiting for their lock; return apt-get's last result."""
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
    """Load only the lists of Debian's own sources; return an empty string, or what is wrong with them."""
    for path in _own_files():
        # The lists of other sources stay.
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
    """Return the files with sources that are not the image's own, as paths below /etc/apt."""
    parts = SOURCES / "sources.list.d"
    found = sorted(parts.iterdir()) if parts.is_dir() else []
    names = [str(path.relative_to(SOURCES)) for path in found if path.suffix in (".list", ".sources")]
    return [name for name in names if name not in OWN]


def _errors(said: str) -> str:
    """Return all errors of apt-get."""
    lines = [line for line in said.splitlines() if line.startswith("E: ")]
    return "\n".join(lines) or said.strip()[-500:] or "apt-get update failed without a message"
