"""What root does when an image is made: `root.py before|after FILE ENVIRONMENT MODULE...`; ENVIRONMENT is a link.

``before``: decides for which environment the image is, removes images of others, and makes sure that there is space.
``after``: puts the new image (FILE.new) in the place of the old one, and seals it. No package's code runs here.
"""

import contextlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from class_warm import seal
from class_warm.areas import NoImage, opened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: Beside FILE: the new image; the directory of the environment that it is made with.
NEW, FOR = ".new", ".environment"
#: Bytes that must be free: the unit's LimitFSIZE, and as much for others.
ROOM = 2 << 30


def before(path: str, link: str) -> None:
    """Prepare for a new image. Raises NoImage if there is no space, OSError."""
    environment = os.path.realpath(link)
    try:
        old = opened(path)
        try:
            seal.check(path, old, environment)
        finally:
            os.close(old)
    except (NoImage, OSError):
        # Nothing starts from it.
        _remove(path, path + seal.SUFFIX)
    _remove(path + NEW)
    disk = os.statvfs(os.path.dirname(path))
    if disk.f_bavail * disk.f_frsize < ROOM:
        raise NoImage(f"less than {ROOM >> 30} GB of the disk are free")
    with open(path + FOR, "w", encoding="utf-8") as file:
        file.write(environment)


def after(path: str, modules: "Sequence[str]") -> None:
    """Put the new image in its place. Raises NoImage, OSError."""
    with open(path + FOR, encoding="utf-8") as file:
        environment = file.read()
    os.close(opened(path + NEW))
    os.replace(path + NEW, path)
    seal.write(path, environment, modules)


def _remove(*paths: str) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def main() -> int:
    """Return the exit code."""
    verb, path, link, *modules = sys.argv[1:]
    try:
        if verb == "before":
            before(path, link)
        else:
            after(path, modules)
    except (NoImage, OSError) as problem:
        kind = os.path.basename(path).partition(".")[0]
        print(f"coursehub: no image of the {kind}: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
