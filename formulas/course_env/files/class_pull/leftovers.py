"""What a git that was killed leaves in a student's copy, and what a pull does about it."""

import os
import shutil
from pathlib import Path

#: What git writes while it changes something; only one that was killed leaves it.
_LOCKS = ("index.lock", "HEAD.lock", "packed-refs.lock", "shallow.lock", "ORIG_HEAD.lock", "FETCH_HEAD.lock")
#: What says that a merge waits for its end. The pull makes a version of its own of what is there.
_HALF_DONE = ("MERGE_HEAD", "MERGE_MODE", "MERGE_MSG", "CHERRY_PICK_HEAD", "REVERT_HEAD")
_STAGED = "class_pull-"


def staging(home: Path) -> Path:
    """Return where a copy is made before it gets its name, so that one under that name is whole."""
    return home.with_name(f".{_STAGED}{home.name}")


def remove_staging(home: Path) -> None:
    """Remove what a killed clone left; never through a link."""
    path = staging(home)
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def remove_repository(home: Path) -> None:
    """Remove a directory in which nothing but a repository without any version is."""
    shutil.rmtree(home / ".git")
    home.rmdir()


def locks(store: Path) -> list[Path]:
    """Return the lock files in a repository."""
    refs = sorted((store / "refs").rglob("*.lock"))
    return [*(store / name for name in _LOCKS if (store / name).exists()), *refs]


def clear(store: Path) -> None:
    """Remove locks, and the marks of a merge that was begun. Only when no git runs."""
    for path in [*locks(store), *(store / name for name in _HALF_DONE)]:
        path.unlink(missing_ok=True)


def git_runs(home: Path) -> bool:
    """Whether a git of this account's works in ``home``; other accounts' processes cannot be seen and do not count."""
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
