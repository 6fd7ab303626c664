"""What salt-ssh shipped last, run again as it is while nothing has changed that it was rendered from.

salt-ssh renders all states into one package, copies it to the server and calls ``state.pkg`` there. Most of an
``apply`` that changes nothing is the way to that call, and all that it needs lies on the server still
(docs/decisions/shipped-states.md). Every state in it is run: what was changed on the server by hand is mended as ever.
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

#: Where salt-ssh puts the package on the server.
PACKAGE = f"{THIN_DIR}/salt_state.tgz"
_SUM = re.compile(r"[0-9a-f]{64}")
#: Shell for the server: the sum of what else decides how the package is run, and comes with each salt-ssh, another
#: teacher's too: our state modules (by Salt's sum of them), Salt itself, and its settings there.
BESIDE = f"cat {THIN_DIR}/ext_version {THIN_DIR}/code-checksum {THIN_DIR}/minion 2>/dev/null | sha256sum | cut -c1-64"
#: The exit code of the script below when the server has other states or settings now, or an operating system that was
#: upgraded since they were rendered: states differ by release.
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
    """SHA-256 sums of the package that was run, and of what lay beside it (``BESIDE``), in hexadecimal."""

    package: str
    beside: str


def script(access: Access, rendered_from: str | None, *, test: bool) -> str | None:
    """The shell script that runs the shipped states once more; None when something else would be rendered now.

    It ends with ``STALE`` when the server no longer has them, else as salt-call does.
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
    """Remember what these inputs were shipped as. What is not known for sure is not remembered, nor what cannot be."""
    if rendered_from and sums and _known(sums):
        with contextlib.suppress(OSError):
            write_private(access.shipped, json.dumps({"rendered_from": rendered_from, "sums": asdict(sums)}))


def _known(sums: Sums) -> bool:
    return all(isinstance(one, str) and _SUM.fullmatch(one) for one in (sums.package, sums.beside))


def inputs(project: Project, course_id: str) -> str | None:
    """A digest of all that a course's states and pillar are rendered from; None when that cannot be known now.

    Salt's version is in it, the server's grains are not. What other courses have in git counts too, what is generated
    for them does not.
    """
    digest = hashlib.sha256()
    try:
        for path in sorted(set(_files(project, course_id))):
            content = path.read_bytes()
            digest.update(f"{project.shown(path)}\0{len(content)}\0".encode(errors="surrogateescape") + content)
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        # A file that goes while it is looked at, or settings that Salt will say the same of.
        return None
    return digest.hexdigest()


def _files(project: Project, course_id: str) -> Iterator[Path]:
    """Every file below the roots of states and pillar, and those that say how Salt goes about it."""
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
