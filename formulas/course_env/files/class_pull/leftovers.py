"""Remove what a killed git leaves in a student's copy."""

import os
import shutil
from pathlib import Path

#: Lock files that git writes while it changes something; only a killed git leaves them.
_LOCKS = ("index.lock", "HEAD.lock", "packed-refs.lock", "shallow.lock", "ORIG_HEAD.lock", "FETCH_HEAD.lock")
#: Marks of an unfinished merge. The pull makes its own version of the files as they are.
_HALF_DONE = ("MERGE_HEAD", "MERGE_MODE", "MERGE_MSG", "CHERRY_PICK_HEAD", "REVERT_HEAD")
_STAGED = "class_pull-"


def staging(home: Path) -> Path:
    """Return the path where a copy is made before it gets its name, so that a copy with that name is complete."""
    return home.with_name(f".{_STAGED}{home.name}")


def remove_staging(home: Path) -> None:
    """Remove what a killed clone left; follow no link."""
    path = staging(home)
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def remove_repository(home: Path) -> None:
    """Remove a directory that contains only a repository without any version."""
    shutil.rmtree(home / ".git")
    home.rmdir()


def locks(store: Path) -> list[Path]:
    """Return the lock files in a repository."""
    refs = sorted((store / "refs").rglob("*.lock"))
    return [*(store / name for name in _LOCKS if (store / name).exists()), *refs]


def clear(store: Path) -> None:
    """Remove locks, and the marks of an unfinished merge. Only call this when no git runs."""
    for path in [*locks(store), *(store / name for name in _HALF_DONE)]:
        path.unlink(missing_ok=True)


def git_runs(home: Path) -> bool:
    """Return whether a git of this account works in ``home``; other accounts' processes are not visible."""
    where = os.path.realpath(home)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid != os.geteuid() or not (process / "comm").read_text().startswith("git"):
                continue
            cwd = str((process / "cwd").readlink())
        except OSError:
            continue
        if cwd == where or cwd.startswith(f"{where}/"):
            return True
    return False
