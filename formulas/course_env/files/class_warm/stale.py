"""Says by its exit code whether an image must be made: `stale.py FILE ENVIRONMENT MODULE...`. 0: yes, 1: it is current.

systemd asks before it makes one (ExecCondition): at boot, when the course's environment changed, and regularly, because
an upgrade may have replaced a library.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from class_warm.areas import opened
from class_warm.image import VARIABLES, known, read
from class_warm.seal import check


def main() -> int:
    """Return the exit code."""
    path, link, *modules = sys.argv[1:]
    try:
        descriptor = opened(path)
        if check(path, descriptor, os.path.realpath(link)) != modules:
            return 0
        image = read(descriptor)
        # What is not set here is not set where the image is used either, or is not known here.
        given = {name: os.environ.get(name) for name in image.variables if name in VARIABLES}
        variables = {name: value for name, value in {**image.variables, **given}.items() if value is not None}
        image.check(variables)
        current = all(known(path)[1] == was for path, was in image.files)
    except Exception:
        current = False
    return 1 if current else 0


if __name__ == "__main__":
    sys.exit(main())
