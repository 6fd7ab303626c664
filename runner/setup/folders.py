"""Repositories on this computer, for a trial: each ``apply`` sends one branch as a git bundle, a single file."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from runner.agreed import PATHS
from runner.course import Course
from runner.course.material import Repository
from runner.errors import USAGE, CoursehubError
from runner.servers.access import Access

#: A repository of some gigabytes takes minutes to pack.
_SECONDS = 900


def versions(course: Course, at: Callable[..., str]) -> dict[str, str]:
    """The newest commit of each repository on this computer, by name. ``at`` gives ``file:line`` of a key.

    Raises CoursehubError (2) with the line of a folder that is no repository or lacks the branch.
    """
    found = {}
    for number, one in enumerate(course.material.repositories):
        if one.folder is None:
            continue
        done = _git(one.folder, "rev-parse", "--verify", "--quiet", f"refs/heads/{one.branch}^{{commit}}")
        if done.returncode:
            where = f"{at('material', 'repositories', number, 'url')}: material.repositories.{number + 1}.url"
            raise CoursehubError(f"{where}: {_why(one)}", exit_code=USAGE)
        found[one.name] = done.stdout.strip()
    return found


def send(course: Course, access: Access, ip: str) -> None:
    """Bring the repositories on this computer to the server. Raises CoursehubError if that does not work."""
    for one in course.material.repositories:
        if one.folder is None:
            continue
        target = f"{PATHS['sent']}/{one.name}.bundle"
        with tempfile.NamedTemporaryFile(suffix=".bundle") as bundle:
            packed = _git(one.folder, "bundle", "create", "--quiet", bundle.name, f"refs/heads/{one.branch}")
            if packed.returncode:
                raise CoursehubError(f"{one.folder} cannot be packed: {_last(packed.stderr)}")
            script = f"umask 022; mkdir -p {PATHS['sent']} && cat > {target}.new && mv {target}.new {target}"
            with Path(bundle.name).open("rb") as content:
                sent = subprocess.run(
                    access.argv(ip, script),
                    stdin=content,
                    capture_output=True,
                    timeout=_SECONDS,
                    check=False,
                )
        if sent.returncode:
            said = _last(sent.stderr.decode(errors="replace"))
            raise CoursehubError(f"{access.course_id}: {one.folder} could not be sent to the server: {said}")


def _why(one: Repository) -> str:
    folder = str(one.folder)
    if _git(Path(folder), "rev-parse", "--git-dir").returncode:
        return f"{folder} is no git repository on this computer; correct the folder, or make it one with 'git init'"
    heads = _git(Path(folder), "for-each-ref", "--format=%(refname:short)", "refs/heads").stdout.split()
    if not heads:
        return f"nothing is committed in {folder}; commit your notebooks there"
    return f"{folder} has no branch {one.branch} (it has {', '.join(heads[:5])}); set branch"


def _git(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # Whoever runs this as root may well own no file of it.
    argv = ["git", "-c", "safe.directory=*", "-C", str(folder), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=_SECONDS, check=False)


def _last(said: str) -> str:
    return (said.strip().splitlines() or ["git gave no reason"])[-1]
