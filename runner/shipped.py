"""What salt-ssh shipped last, run again as it is while nothing has changed that it was rendered from.

salt-ssh renders all states into one package, copies it to the server and calls ``state.pkg`` there. Most of an
``apply`` that changes nothing is the way to that package, and the package lies on the server still
(docs/decisions/shipped-states.md). Every state in it is run: what was changed on the server by hand is mended as ever.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from runner.access import THIN_DIR, Access
from runner.project import Project, write_private

_PACKAGE = f"{THIN_DIR}/salt_state.tgz"
_SUM = re.compile(r"^[0-9a-f]{64}$")
#: Another package, or an operating system that was upgraded since it was rendered: states differ by release.
STALE = 75
_AGAIN = f"""
echo "%(sum)s  {_PACKAGE}" | sha256sum --check --status 2>/dev/null || exit {STALE}
find -L /etc/os-release -cnewer {_PACKAGE} | grep -q . && exit {STALE}
exec python3 {THIN_DIR}/salt-call --retcode-passthrough --local --out json -l quiet -c {THIN_DIR} -- \\
    state.pkg {_PACKAGE} test=%(test)s pkg_sum=%(sum)s hash_type=sha256 </dev/null
"""


@dataclass(frozen=True)
class _Record:
    rendered_from: str
    package: str


def again(access: Access, rendered_from: str, *, test: bool) -> str | None:
    """The shell script that runs the shipped states once more; None when something else would be rendered now.

    It ends with ``STALE`` when the server no longer has them, else as salt-call does.
    """
    try:
        record = _Record(**json.loads(access.shipped.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    if record.rendered_from != rendered_from or not _SUM.fullmatch(record.package):
        return None
    return _AGAIN % {"sum": record.package, "test": test}


def keep(access: Access, rendered_from: str, package: str) -> None:
    """Remember that the package with this SHA-256 sum is what these inputs render to."""
    if _SUM.fullmatch(package):
        write_private(access.shipped, json.dumps(asdict(_Record(rendered_from, package))))


def inputs(project: Project) -> str:
    """A digest of all that states and pillar are rendered from, Salt's version included; the server's grains are not.

    Raises OSError for a file that cannot be read.
    """
    digest = hashlib.sha256()
    for path in _files(project):
        content = path.read_bytes()
        digest.update(f"{project.shown(path)}\0{len(content)}\0".encode(errors="surrogateescape") + content)
    return digest.hexdigest()


def _files(project: Project) -> Iterator[Path]:
    """Every file below the roots of states and pillar, and those that say how Salt goes about it."""
    config = project.root / "salt" / "config" / "master"
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    roots = [project.root / root for key in ("file_roots", "pillar_roots") for root in settings[key]["base"]]
    lock = project.root / "requirements" / "runner.lock"
    yield from (path for path in (project.root / "Saltfile", lock, project.state / "roster") if path.is_file())
    yield from sorted((project.state / "salt.d").glob("*.conf"))
    for root in roots:
        yield from sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc")
