"""The lock of a course's Python packages: resolved once, stored in git, installed with hashes.

``pillar/files/locks/<course>.txt`` is a requirements file for all targets (Debian 12 and 13, Ubuntu 24.04). Its header
has a digest of the resolved requirements, so that a changed package list is noticed without an index.
"""

import datetime
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from runner.errors import USAGE, CoursehubError
from runner.packages import minimums

BASE = Path("formulas/course_env/files/base.in")
# Dependencies that are omitted on purpose; the file says why.
OVERRIDES = Path("formulas/course_env/files/overrides.in")
LOCKS = Path("pillar/files/locks")
# The oldest Python among the targets (Debian 12); --universal covers newer ones in the same file.
PYTHON_FLOOR = "3.11"
# Seconds; an index that works resolves a course within a few.
TIMEOUT_SECONDS = 300

#: The header of every lock: the date of its resolution, and the digest of what it was made from.
_RESOLVED = re.compile(r"^# resolved: (\d{4}-\d{2}-\d{2})$", re.MULTILINE)
_DIGEST = re.compile(r"^# inputs: sha256:([0-9a-f]{64})$", re.MULTILINE)
# What uv says when the index does not know a package, and when it lets nobody ask.
_UNKNOWN = re.compile(r"Because (?P<name>[\w.-]+) was not found in the package registry")
_REFUSED = re.compile(r"returned an? (?P<code>40[137] [A-Z][a-z]+)|\((?P<status>40[137]) ")
_DRAWING = " \t│├╰─▶×╭·"


def lock_path(course_id: str, root: Path) -> Path:
    """Return the path of a course's lock."""
    return root / LOCKS / f"{course_id}.txt"


def uv_compile_argv(uv: Path, output: Path, overrides: Path, *, upgrade: bool = False) -> list[str]:
    """Return the command that resolves the requirements on standard input into ``output``.

    Without ``upgrade``, versions in an existing ``output`` are kept if they still fit. Only wheels are allowed:
    building a source package would run its author's code on the teacher's computer, and as root on the server.
    """
    argv = [str(uv), "pip", "compile", "--quiet", "--universal", "--python-version", PYTHON_FLOOR]
    argv += ["--generate-hashes", "--only-binary", ":all:", "--no-emit-index-url", "--no-header", "--no-annotate"]
    if upgrade:
        argv.append("--upgrade")
    return [*argv, "--override", str(overrides), "--output-file", str(output), "-"]


def parse_packages(packages: Iterable[str], where: str) -> list[str]:
    """Return the packages in canonical form, sorted.

    Raises CoursehubError (exit code 2) for anything that is not a package with an optional version; ``where`` is the
    file, possibly with a line, for the message.
    """
    parsed: dict[str, str] = {}
    for package in packages:
        try:
            requirement = Requirement(package)
        except InvalidRequirement:
            raise CoursehubError(
                f"{where}: packages: {package!r} is not a package; write a name such as numpy or numpy>=2",
                exit_code=USAGE,
            ) from None
        if requirement.url:
            raise CoursehubError(
                f"{where}: packages: {package!r} is an address; packages come from the Python index, by name",
                exit_code=USAGE,
            )
        requirement.name = canonicalize_name(requirement.name)
        name = str(requirement)
        if parsed.get(requirement.name, name) != name:
            raise CoursehubError(
                f"{where}: packages: {requirement.name} is listed twice, with different versions; keep one",
                exit_code=USAGE,
            )
        parsed[requirement.name] = name
    return sorted(parsed.values())


def inputs_digest(base: str, packages: Sequence[str]) -> str:
    """Return the SHA-256 of all requirements of a resolution, without comments and order."""
    wanted = [line.partition("#")[0].strip() for line in base.splitlines()]
    inputs = "\n".join([PYTHON_FLOOR, *sorted(filter(None, wanted)), "", *sorted(packages)])
    return hashlib.sha256(inputs.encode()).hexdigest()


def locked_digest(lock: Path) -> str | None:
    """Return the digest in a lock's header, or None if it is not a lock of ours."""
    try:
        found = _DIGEST.search(lock.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found.group(1) if found else None


def ensure_lock(course_id: str, packages: Iterable[str], root: Path, *, line: int | None = None) -> Path:
    """Return the course's lock; resolve it if there is none yet.

    ``line`` is the line of ``packages:`` in the course file. Raises CoursehubError with exit code 2 if the packages
    changed since the lock was made: new versions are the teacher's decision, not a side effect of an apply.
    """
    where = _where(course_id, line)
    wanted = parse_packages(packages, where)
    lock = lock_path(course_id, root)
    locked = locked_digest(lock)
    if locked is None:
        return make_lock(course_id, wanted, root, line=line)
    if locked != inputs_digest(_base(root) + _overrides(root), wanted):
        raise CoursehubError(
            f"{where}: the packages changed since {lock.relative_to(root)} was made; run ./coursehub lock {course_id}",
            exit_code=USAGE,
        )
    return lock


def resolved_on(lock: Path) -> datetime.date | None:
    """Return the date on which a lock was resolved, or None if its header has none."""
    found = _RESOLVED.search(lock.read_text(encoding="utf-8"))
    return datetime.date.fromisoformat(found.group(1)) if found else None


def resolved_line() -> str:
    """Return the header line with today's date (UTC)."""
    return f"# resolved: {datetime.datetime.now(datetime.UTC).date().isoformat()}\n"


def make_lock(
    course_id: str,
    packages: Iterable[str],
    root: Path,
    *,
    line: int | None = None,
    upgrade: bool = False,
    path: Path | None = None,
) -> Path:
    """Resolve the course's packages again and return the lock's path; on failure the old lock is kept.

    Without ``upgrade``, versions in the old lock are kept if they fit and are safe. ``path`` is the lock's path if it
    is not a course's. Raises CoursehubError: exit code 2 if packages do not exist or conflict, 1 if the index does not
    answer.
    """
    where = _where(course_id, line)
    wanted = parse_packages(packages, where)
    base = _base(root)
    lock = path or lock_path(course_id, root)
    lock.parent.mkdir(parents=True, exist_ok=True)
    # uv writes the file itself and reads the versions to keep from it.
    staged = lock.with_name(f".{lock.name}.new")
    try:
        staged.write_text(lock.read_text(encoding="utf-8") if lock.exists() else "", encoding="utf-8")
        argv = uv_compile_argv(uv_path(), staged, root / OVERRIDES, upgrade=upgrade)
        resolve(argv, "\n".join([base, *wanted, ""]), f"{where}: packages", root)
        head = (
            f"# Made by `./coursehub lock {course_id}` from {BASE} and the course's packages; not to be edited.\n"
            f"# inputs: sha256:{inputs_digest(base + _overrides(root), wanted)}\n" + resolved_line()
        )
        staged.write_text(head + staged.read_text(encoding="utf-8"), encoding="utf-8")
        staged.replace(lock)
    finally:
        staged.unlink(missing_ok=True)
    return lock


def _where(course_id: str, line: int | None) -> str:
    return f"pillar/courses/{course_id}.sls" + (f":{line}" if line else "")


def _base(root: Path) -> str:
    return (root / BASE).read_text(encoding="utf-8")


def _overrides(root: Path) -> str:
    return (root / OVERRIDES).read_text(encoding="utf-8")


def uv_path() -> Path:
    """Return the path of uv, which the launcher installed next to Python."""
    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        raise CoursehubError(f"{uv} is missing; remove .venv and run ./coursehub again")
    return uv


def resolve(argv: list[str], requirements: str, where: str, root: Path) -> None:
    """Run a ``uv pip compile`` of ``requirements``, with the minimums of requirements/minimums.yaml.

    Raises CoursehubError with one line: exit code 2 if packages of ``where`` do not exist or conflict, 1 if the index
    does not answer.
    """
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as floor:
        floor.write(minimums.constraints(root))
        floor.flush()
        done = _run_uv([*argv, "--constraint", floor.name], requirements)
    if done.returncode == 0:
        return
    lines = [line.strip(_DRAWING) for line in done.stderr.splitlines()]
    said = " ".join(line for line in lines if line and not line.startswith(("hint:", "help:")))
    if refused := _REFUSED.search(done.stderr):
        raise CoursehubError(
            f"the packages could not be resolved: the Python index, or a filter on the way, refuses this computer "
            f"({refused['code'] or refused['status']}); ask the people who run your network"
        )
    if unknown := _UNKNOWN.search(said):
        raise CoursehubError(
            f"{where}: the Python index has no package {unknown['name']}; correct the name (search the index), or "
            "take it out",
            exit_code=USAGE,
        )
    if "No solution found" in said:
        reason = said[said.find("Because") :] if "Because" in said else said
        raise CoursehubError(f"{where}: {reason[:500]}", exit_code=USAGE)
    raise CoursehubError(f"the packages could not be resolved: {said[:500]}; fix that and run it again")


def _run_uv(argv: list[str], requirements: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv,
            input=requirements,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
            env={**os.environ, "NO_COLOR": "1"},
        )
    except subprocess.TimeoutExpired:
        raise CoursehubError(
            f"the Python index did not answer within {TIMEOUT_SECONDS} s; try again when it does"
        ) from None
