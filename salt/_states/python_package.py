"""A directory of Python modules, installed as a whole: all of its files, or none.

Salt's own ``file.recurse`` has no ``check_cmd``, and ``file.managed`` needs a state and a process for each file: 45 of
them took five seconds of a first apply.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coursehub_files import write_whole

#: Salt puts them into a state module when it loads one.
__opts__: dict[str, Any]
__salt__: dict[str, Callable[..., Any]]

#: The directory that Python itself writes beside modules.
CACHE = "__pycache__"


def installed(name: str, source: str) -> dict[str, Any]:
    """Put exactly the files of ``source`` into the directory ``name``; owned by root, readable by everybody.

    name
        Directory on the server. It is made, with its parents.
    source
        Directory on the file server, such as ``salt://formula/files/package``.

    If a module in ``source`` does not compile, nothing is replaced, and running programs keep the old files.
    """
    wanted = _wanted(source)
    if not wanted:
        return _result(name, False, f"there are no files in {source}")
    if broken := _broken(wanted):
        return _result(name, False, f"{broken}; nothing was changed")
    root = Path(name)
    try:
        changes = _changes(root, wanted)
        if not changes:
            return _result(name, True, f"{len(wanted)} files are as they should be")
        if __opts__["test"]:
            return _result(name, None, f"{len(changes)} of {len(wanted)} files would change", changes)
        _write(root, wanted, changes)
    except OSError as error:
        return _result(name, False, f"{error.filename}: {error.strerror}")
    return _result(name, True, f"{len(changes)} of {len(wanted)} files changed", changes)


def _result(name: str, result: bool | None, comment: str, changes: dict[str, str] | None = None) -> dict[str, Any]:
    return {"name": name, "result": result, "comment": comment, "changes": changes or {}}


def _wanted(source: str) -> dict[str, bytes]:
    """Return the content of each file of ``source`` by its path below it."""
    below = source.removeprefix("salt://").strip("/")
    files = {str(path).partition(f"/{below}/")[2]: Path(path) for path in __salt__["cp.cache_dir"](source)}
    return {path: file.read_bytes() for path, file in files.items() if _ours(Path(path))}


def _ours(path: Path) -> bool:
    """Return whether a file belongs to the package: no bytecode, and no backup file of an editor."""
    return CACHE not in path.parts and not path.name.startswith(".") and not path.name.endswith("~")


def _broken(files: dict[str, bytes]) -> str:
    """Return which module does not compile, and why; empty if all do."""
    for path, content in files.items():
        if path.endswith(".py"):
            try:
                compile(content, path, "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as error:
                return f"{path}:{getattr(error, 'lineno', None) or 1}: {error.args[0]}"
    return ""


def _changes(root: Path, wanted: dict[str, bytes]) -> dict[str, str]:
    """Return the change for each file that differs, is missing, or is no longer in the package."""
    changes = {}
    for path, content in wanted.items():
        there = root / path
        try:
            found = there.lstat()
            old = there.read_bytes() if there.is_file() and not there.is_symlink() else None
        except FileNotFoundError:
            changes[path] = "new"
            continue
        if old != content:
            changes[path] = _difference(old or b"", content)
        elif (found.st_uid, found.st_gid, found.st_mode & 0o7777) != (0, 0, 0o644):
            changes[path] = "owner and mode set"
    for path in _present(root):
        if path not in wanted:
            changes[path] = "removed"
    return changes


def _difference(old: bytes, new: bytes) -> str:
    before, after = (text.decode(errors="replace").splitlines() for text in (old, new))
    return "\n".join(list(difflib.unified_diff(before, after, lineterm="", n=1))[2:])


def _present(root: Path) -> list[str]:
    return [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*"))
        if (path.is_symlink() or path.is_file()) and CACHE not in path.parts
    ]


def _write(root: Path, wanted: dict[str, bytes], changes: dict[str, str]) -> None:
    # A program may start between: new modules, which others import, come first, and unused ones go last.
    order = {"new": 0, "removed": 2}
    for path in sorted(changes, key=lambda one: order.get(changes[one], 1)):
        there = root / path
        if path not in wanted:
            there.unlink()
            continue
        write_whole(there, wanted[path])
