"""Which kernels start as copies of the course's image, and with which command."""

from collections.abc import Mapping
from pathlib import Path

from class_server.kernels import FIRST_TO_GO, arguments_of

BEGIN = Path(__file__).parent.parent / "class_warm" / "begin.py"
#: The system's Python starts soonest. The environment's is the same program.
PYTHON = ["/usr/bin/python3", "-I", "-S"]
#: What a student may have put into their home that packages read when they are imported.
READ_EARLY = (".config/matplotlib/matplotlibrc", ".config/matplotlib/stylelib", ".fonts", ".local/share/fonts")


def from_image(image: str, command: list[str], environment: Mapping[str, str], directory: str) -> list[str]:
    """Return the command that starts a kernel from the image; the same command for a kernel that would differ.

    ``begin`` compares the variables itself, and starts the same command if the image cannot be used.
    """
    if arguments_of(command) is None or _has_own(environment, directory):
        return command
    return [*FIRST_TO_GO, *PYTHON, str(BEGIN), image, *command[len(FIRST_TO_GO) :]]


def _has_own(environment: Mapping[str, str], directory: str) -> bool:
    """Return whether the student has packages or settings of their own that a kernel reads when it starts."""
    home, own = Path(environment.get("HOME", "/")), Path(environment.get("COURSEHUB_OWN", "/nonexistent"))
    try:
        return (
            Path(directory, "matplotlibrc").exists()
            or any((home / name).exists() for name in READ_EARLY)
            or (own.exists() and any(own.iterdir()))
        )
    except OSError:
        return True
