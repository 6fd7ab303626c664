"""A student's earlier versions: what there was, what it said, and how it comes back."""

import json
import os
import shutil
from pathlib import Path

#: What is shown of a file, in bytes.
SHOWN = 1_000_000


class NotThere(Exception):
    """There is no such file in that version; the message says so."""


class Past:
    """The versions below ``earlier``, each a copy of ``home`` as it was."""

    def __init__(self, home: Path, earlier: Path) -> None:
        self.home, self.earlier = home, earlier

    def moments(self) -> list[str]:
        """Return the versions' names, the newest first."""
        try:
            return sorted((path.name for path in self.earlier.iterdir()), reverse=True)
        except OSError:
            return []

    def of(self, parts: list[str]) -> list[tuple[str, Path]]:
        """Return each version that has something else there than the one before it, the newest first."""
        found: list[tuple[str, Path]] = []
        seen = None
        for moment in reversed(self.moments()):
            path = self.earlier.joinpath(moment, *parts)
            try:
                known = path.lstat()
            except OSError:
                continue
            if (known.st_mtime_ns, known.st_size, known.st_ino) != seen:
                found.append((moment, path))
            seen = (known.st_mtime_ns, known.st_size, known.st_ino)
        return found[::-1]

    def names(self, parts: list[str]) -> list[tuple[str, bool]]:
        """Return what a folder has or had, and whether it is there now."""
        now = _listed(self.home.joinpath(*parts))
        then = {name for moment in self.moments() for name in _listed(self.earlier.joinpath(moment, *parts))}
        return [(name, name in now) for name in sorted(now | then, key=str.lower)]

    def one(self, parts: list[str], moment: str) -> Path:
        """Return where something is in a version. Raises NotThere."""
        if moment in self.moments() and parts and os.path.lexists(path := self.earlier.joinpath(moment, *parts)):
            return path
        raise NotThere("It is not in that version.")

    def put_back(self, parts: list[str], moment: str) -> str:
        """Copy something back, beside what has its name now; return the copy's name. Raises NotThere, OSError."""
        source, target = self.one(parts, moment), self.home.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(target):
            target = target.with_name(f"{target.stem} from {moment}{target.suffix}")
        if os.path.lexists(target):
            raise NotThere(f"{target.name} is there already.")
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copy2(source, target, follow_symlinks=False)
        return target.name


def parts_of(path: str) -> list[str]:
    """Return a path's parts. Raises NotThere for one that leads out of the home."""
    parts = [part for part in path.split("/") if part]
    if any(part in {".", ".."} or "\0" in part for part in parts):
        raise NotThere("There is no such file.")
    return parts


def text_of(path: Path) -> str:
    """Return what can be shown of a file: its text, of a notebook the cells. Raises NotThere, OSError."""
    if not path.is_file():
        raise NotThere("This is no file.")
    with path.open("rb") as file:
        content = file.read(SHOWN + 1)
    if len(content) > SHOWN:
        raise NotThere("It is too big to be shown here; put it back to open it.")
    try:
        text = content.decode()
        if path.suffix == ".ipynb":
            cells = json.loads(text)["cells"]
            return "\n\n".join(f"[{cell['cell_type']}]\n{''.join(cell['source'])}" for cell in cells)
    except UnicodeDecodeError:
        raise NotThere("This is no text; put it back to open it.") from None
    except (ValueError, KeyError, TypeError):
        return text
    return text


def _listed(directory: Path) -> set[str]:
    try:
        return set() if directory.is_symlink() else {path.name for path in directory.iterdir()}
    except OSError:
        return set()
