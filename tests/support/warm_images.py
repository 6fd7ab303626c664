"""Makes images of small programs, and starts copies of them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from class_warm import seal

from tests.support.lesson import FILES

#: `python -c MAKE FILE MODULE...`: an image of a program that runs the script after `python -c`, as Python itself does.
MAKE = f"""
import importlib, sys
sys.path.insert(0, {str(FILES)!r})
from class_warm import kinds, make

class Script(kinds.Kind):
    def load(self, modules):
        for name in modules:
            importlib.import_module(name)

    def run(self, argv):
        sys.argv = ["-c", *argv[3:]]
        exec(argv[2], {{"__name__": "__main__"}})

kinds.KINDS["script"] = Script()
sys.argv[1:1] = ["script"]
sys.exit(make.main())
"""
#: The system's Python, as on a server.
SYSTEM = ["/usr/bin/python3", "-I", "-S"]
BEGIN = str(FILES / "class_warm" / "begin.py")


@dataclass(frozen=True)
class Warm:
    """An image, and the Python of its environment. ``said``: what the maker said; ``code``: how it ended."""

    python: str
    image: Path
    code: int
    said: str

    def command(self, script: str, *arguments: str) -> list[str]:
        """The command that starts a script from the image."""
        return [*SYSTEM, BEGIN, str(self.image), *self.ordinary(script, *arguments)]

    def ordinary(self, script: str, *arguments: str) -> list[str]:
        """The command that starts the same script without it."""
        return [self.python, "-c", script, *arguments]

    def run(self, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a script from the image."""
        return run(self.command(script, *arguments), **variables)

    def says(self, script: str, *arguments: str, **variables: str) -> str:
        """What a script prints that must have been started from the image."""
        done = self.run(script, *arguments, **variables)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout.strip()


def environment(**variables: str) -> dict[str, str]:
    """The variables of a start: those of a person, and those with which images are made."""
    return {"HOME": "/", "LANG": "C.UTF-8", "PATH": os.defpath, "USER": "someone", **variables}


def run(argv: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a server would be started."""
    return subprocess.run(
        argv, env=environment(**variables), capture_output=True, text=True, check=False, timeout=150, cwd="/"
    )


def make(python: str, image: Path, *modules: str, path: str = "") -> Warm:
    """Make an image in which the modules are imported; ``path`` is a directory with modules of the test."""
    script = MAKE.replace("sys.exit(", f"sys.path.append({path!r})\nsys.exit(") if path else MAKE
    with image.open("wb") as output:
        done = subprocess.run(
            [python, "-c", script, str(image), *modules],
            env={"LANG": "C.UTF-8", "PATH": os.defpath, "TMPDIR": str(image.parent)},
            stdout=output, stderr=subprocess.PIPE, check=False, timeout=120,
        )  # fmt: skip
    if not done.returncode:
        seal.write(str(image), environment_of(python), modules)
    return Warm(python, image, done.returncode, done.stderr.decode())


def environment_of(python: str) -> str:
    """The directory of the environment with this Python."""
    return str(Path(python).parent.parent)


def works_here() -> bool:
    """Whether this computer can use images."""
    return os.uname().machine == "x86_64" and sys.platform == "linux"
