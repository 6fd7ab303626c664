"""Runs the states that salt-ssh shipped last once more, if none of their sources has changed.

salt-ssh renders all states into one package, copies it to the server and calls ``state.pkg`` there. When nothing
changed, most of the time of an ``apply`` is spent before that call, although the server still has all that the call
needs (docs/decisions/shipped-states.md). All states of the package run, so changes made by hand on the server are
corrected as usual.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from runner.files import write_private
from runner.project import Project
from runner.saltssh.pillar import runtime_file
from runner.servers.access import THIN_DIR, Access

#: The path of salt-ssh's package on the server.
PACKAGE = f"{THIN_DIR}/salt_state.tgz"
_SUM = re.compile(r"[0-9a-f]{64}")
#: Shell code for the server: the checksum of everything else that decides how the package runs. Each salt-ssh replaces
#: it, another teacher's too: our state modules (by Salt's own checksum of them), Salt itself, and its settings.
BESIDE = f"cat {THIN_DIR}/ext_version {THIN_DIR}/code-checksum {THIN_DIR}/minion 2>/dev/null | sha256sum | cut -c1-64"
#: The exit code of the script below if the server now has other states or settings, or a newer release of its operating
#: system than they were rendered for: states differ by release.
STALE = 75
_AGAIN = f"""
echo "%(package)s  {PACKAGE}" | sha256sum --check --status 2>/dev/null || exit {STALE}
[ "$({BESIDE})" = %(beside)s ] || exit {STALE}
find -L /etc/os-release -cnewer {PACKAGE} | grep -q . && exit {STALE}
exec python3 {THIN_DIR}/salt-call --retcode-passthrough --local --out json -l quiet -c {THIN_DIR} -- \\
    state.pkg {PACKAGE} test=%(test)s pkg_sum=%(package)s hash_type=sha256 </dev/null
"""


@dataclass(frozen=True)
class Sums:
    """SHA-256 checksums (hexadecimal) of the package that was run, and of what was beside it (``BESIDE``)."""

    package: str
    beside: str


def script(access: Access, rendered_from: str | None, *, test: bool) -> str | None:
    """The shell script that runs the shipped states again; None if they would be rendered differently now.

    It exits with ``STALE`` if the server no longer has them, otherwise with salt-call's exit code.
    """
    try:
        record = json.loads(access.shipped.read_text(encoding="utf-8"))
        sums = Sums(**record["sums"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if rendered_from is None or record.get("rendered_from") != rendered_from or not _known(sums):
        return None
    return _AGAIN % {**asdict(sums), "test": test}


def keep(access: Access, rendered_from: str | None, sums: Sums | None) -> None:
    """Remember which package these inputs were shipped as.

    Nothing is stored if a value is unknown, or if writing fails.
    """
    if rendered_from and sums and _known(sums):
        with contextlib.suppress(OSError):
            write_private(access.shipped, json.dumps({"rendered_from": rendered_from, "sums": asdict(sums)}))


def _known(sums: Sums) -> bool:
    return all(isinstance(one, str) and _SUM.fullmatch(one) for one in (sums.package, sums.beside))


def inputs(project: Project, course_id: str) -> str | None:
    """A digest of all inputs of a course's states and pillar; None if it cannot be computed now.

    It includes Salt's version, but not the server's grains. Files of other courses that are in git count too; files
    generated for them do not.
    """
    digest = hashlib.sha256()
    try:
        for path in sorted(set(_files(project, course_id))):
            content = path.read_bytes()
            digest.update(f"{project.shown(path)}\0{len(content)}\0".encode(errors="surrogateescape") + content)
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        # A file was deleted meanwhile, or Salt will report the same wrong settings itself.
        return None
    return digest.hexdigest()


def _files(project: Project, course_id: str) -> Iterator[Path]:
    """Every file below the roots of states and pillar, and Salt's settings."""
    config = project.root / "salt" / "config" / "master"
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    lock = project.root / "requirements" / "runner.lock"
    yield from (path for path in (project.root / "Saltfile", lock) if path.is_file())
    yield from (project.state / "salt.d").glob("*.conf")
    generated = runtime_file(project, course_id)
    for key in ("file_roots", "pillar_roots"):
        for root in settings[key]["base"]:
            if generated.is_relative_to(project.root / root):
                yield generated
            else:
                yield from _below(project.root / root)


def _below(root: Path) -> Iterator[Path]:
    # Salt follows links to directories; Path.rglob does not.
    for directory, names, files in os.walk(root, followlinks=True):
        names[:] = [name for name in names if name != "__pycache__"]
        yield from (Path(directory, name) for name in files)
