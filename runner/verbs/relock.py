"""Resolves every lock of this repository again: the controller's, the server's, the tools', the courses' and npm's."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from runner.audit import tools
from runner.errors import CoursehubError
from runner.packages import lock

OVERRIDES = Path("requirements/overrides.in")
FILES = Path("formulas")
#: Days after which a lock is old: it lacks two months of security fixes.
OLD_DAYS = 60
#: The kitchen's course and its requirements (tests/kitchen/kitchen.yml).
KITCHEN = Path("tests/kitchen/locks/kitchen.txt")
KITCHEN_PACKAGES = ("numpy",)
#: Directories with a package.json and its package-lock.json.
NPM = (FILES / "jupyterhub/files/proxy", Path("tests/support/oidc"), tools.NPM)


@dataclass(frozen=True)
class PythonLock:
    """One lock and its requirements. ``within`` is a lock whose versions it must share."""

    path: Path
    source: Path
    overrides: Path
    within: Path | None = None
    annotated: bool = False

    def argv(self, uv: Path, root: Path, output: Path, *, upgrade: bool) -> list[str]:
        """The uv command; it reads the requirements from its standard input."""
        argv = [str(uv), "pip", "compile", "--quiet", "--universal", "--python-version", lock.PYTHON_FLOOR]
        argv += ["--generate-hashes", "--no-emit-index-url", "--no-header"]
        argv += ["--override", str(root / self.overrides)]
        if not self.annotated:
            argv.append("--no-annotate")
        if self.within:
            argv += ["--constraint", str(root / self.within)]
        if upgrade:
            argv.append("--upgrade")
        return [*argv, "--output-file", str(output), "-"]


RUNNER = Path("requirements/runner.lock")
#: In this order: a lock comes after the one with which it must share versions.
PYTHON = (
    PythonLock(RUNNER, Path("requirements/runner.in"), OVERRIDES, annotated=True),
    PythonLock(Path("requirements/test.lock"), Path("requirements/test.in"), OVERRIDES, within=RUNNER, annotated=True),
    # The launcher first installs only uv with pip, from the same resolution.
    PythonLock(Path("requirements/bootstrap.lock"), Path("requirements/bootstrap.in"), OVERRIDES, within=RUNNER),
    PythonLock(FILES / "uv/files/uv.txt", FILES / "uv/files/uv.in", lock.OVERRIDES),
    PythonLock(FILES / "jupyterhub/files/hub.txt", FILES / "jupyterhub/files/hub.in", lock.OVERRIDES),
    PythonLock(FILES / "jupyterhub/files/proxy.txt", FILES / "jupyterhub/files/proxy.in", lock.OVERRIDES),
    PythonLock(FILES / "course_env/files/pdf.txt", FILES / "course_env/files/pdf.in", lock.OVERRIDES),
    PythonLock(FILES / "course_env/files/base.txt", lock.BASE, lock.OVERRIDES),
    PythonLock(tools.LOCK, tools.SOURCE, OVERRIDES),
)


def all_locks(root: Path) -> list[Path]:
    """Every existing Python lock of the repository, including the courses'."""
    courses = sorted((root / lock.LOCKS).glob("*.txt"))
    return [path for path in (*(root / one.path for one in PYTHON), root / KITCHEN, *courses) if path.exists()]


def relock(
    root: Path, courses: Iterable[tuple[str, list[str], int | None]], report: Callable[[str], None], *, upgrade: bool
) -> list[str]:
    """Resolve every lock again; return the paths of those whose packages changed. Each is replaced atomically.

    ``courses`` are the courses with a lock: name, packages, and the line of the course file that lists them. Without
    ``upgrade``, versions are kept if they fit and are safe. Raises the same CoursehubError as ``lock.make_lock``.
    """
    changed = []
    for one in PYTHON:
        report(str(one.path))
        if _python(root, one, upgrade=upgrade):
            changed.append(str(one.path))
    for course_id, packages, line in courses:
        path = lock.lock_path(course_id, root)
        report(str(path.relative_to(root)))
        before = pins(path)
        lock.make_lock(course_id, packages, root, line=line, upgrade=upgrade)
        if pins(path) != before:
            changed.append(str(path.relative_to(root)))
    report(str(KITCHEN))
    before = pins(root / KITCHEN)
    lock.make_lock("kitchen", KITCHEN_PACKAGES, root, upgrade=upgrade, path=root / KITCHEN)
    if pins(root / KITCHEN) != before:
        changed.append(str(KITCHEN))
    for directory in NPM:
        report(str(directory / "package-lock.json"))
        if _npm(root, root / directory, upgrade=upgrade):
            changed.append(str(directory / "package-lock.json"))
    return changed


def pins(path: Path) -> set[str]:
    """What a lock installs, each as ``name==version`` with its marker."""
    if not path.exists():
        return set()
    lines = path.read_text(encoding="utf-8").splitlines()
    return {line.rstrip(" \\") for line in lines if "==" in line and not line.startswith((" ", "#"))}


def _python(root: Path, one: PythonLock, *, upgrade: bool) -> bool:
    path = root / one.path
    before = pins(path)
    staged = path.with_name(f".{path.name}.new")
    try:
        staged.write_text(path.read_text(encoding="utf-8") if path.exists() else "", encoding="utf-8")
        source = (root / one.source).read_text(encoding="utf-8")
        # Requirements on standard input cannot include a file beside them.
        source = source.replace("-r runner.in\n", (root / "requirements/runner.in").read_text(encoding="utf-8"))
        lock.resolve(one.argv(lock.uv_path(), root, staged, upgrade=upgrade), source, str(one.source), root)
        head = f"# Made by `./coursehub lock --all` from {one.source}; not to be edited.\n{lock.resolved_line()}"
        staged.write_text(head + staged.read_text(encoding="utf-8"), encoding="utf-8")
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    return pins(path) != before


def _npm(root: Path, directory: Path, *, upgrade: bool) -> bool:
    path = directory / "package-lock.json"
    before = path.read_bytes() if path.exists() else b""
    node = tools.Tools.ensure(root, lambda _: None, npm=False)
    command = [*node.npm(), "update" if upgrade else "install", "--package-lock-only", "--ignore-scripts"]
    command += ["--omit-lockfile-registry-resolved", "--no-audit", "--no-fund"]
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, check=False, timeout=lock.TIMEOUT_SECONDS
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise CoursehubError(f"{directory.relative_to(root)}: npm could not resolve the packages: {last}")
    return path.read_bytes() != before
