"""Scanners from Debian packages, unpacked below ``.coursehub/audit`` without being installed."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from runner.audit.subject import ScanFailed
from runner.local.images import host_mirror

#: The first release with new enough versions of all: testssl.sh 3.0 in Debian 12 gives no grade.
RELEASE = "trixie"
#: The packages to fetch, and the oldest version that our parsers support.
PACKAGES = {"testssl.sh": "3.2.1", "lynis": "3.1.4", "ssg-debian": "0.1.76"}
TIMEOUT_SECONDS = 600


def unpacked(root: Path, package: str, packages: Iterable[str] = tuple(PACKAGES), use: str = "audit") -> Path:
    """The directory with a package's files, which are fetched first if necessary (ten seconds).

    All of ``packages`` are fetched together, into a directory for this ``use``.

    apt verifies them with the archive's keys; this computer's own package lists are not changed. Raises ScanFailed if
    apt is missing or the archive does not answer.
    """
    home = root / ".coursehub" / use / f"debian-{RELEASE}"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (home / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            _fetch(home, packages)
            (home / "complete").touch()
    return home / package


def _fetch(home: Path, packages: Iterable[str]) -> None:
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise ScanFailed("testssl.sh, lynis and OpenSCAP's rules come from Debian's archive, which needs apt here")
    mirror = host_mirror().get("main")
    if mirror is None:
        raise ScanFailed("this computer's apt has no Debian archive; add one, then run the audit again")
    lists, archives = home / "lists", home / "archives"
    for directory in (lists / "partial", archives / "partial"):
        directory.mkdir(parents=True, exist_ok=True)
    sources = home / "sources.list"
    sources.write_text(f"deb {mirror} {RELEASE} main\n", encoding="utf-8")
    options = [
        f"Dir::Etc::sourcelist={sources}",
        "Dir::Etc::sourceparts=/dev/null",
        f"Dir::State::lists={lists}",
        f"Dir::Cache={home}",
        f"APT::Sandbox::User={'root' if os.geteuid() == 0 else ''}",
        "Acquire::Languages=none",
    ]
    apt = ["apt-get", "-qq", *(part for option in options for part in ("-o", option))]
    _run([*apt, "update"], home)
    for package in packages:
        _run([*apt, "download", package], archives)
        archive = next(archives.glob(f"{package}_*.deb"))
        _run(["dpkg-deb", "-x", str(archive), str(home / package)], home)
    # The package lists are ten times as large as the packages.
    shutil.rmtree(lists)
    shutil.rmtree(archives)


def _run(argv: list[str], directory: Path) -> None:
    try:
        done = subprocess.run(argv, cwd=directory, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ScanFailed(f"Debian's archive did not answer within {TIMEOUT_SECONDS} s; run the audit again") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ScanFailed(f"the scanners could not be fetched from Debian's archive: {last}")
