"""pip for a student of the course: it installs into the student's own directory, in addition to the course's packages.

``site/sitecustomize.py`` runs this program whenever a student runs the course's pip.
"""

import json
import os
import re
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

# It runs with -I, so nothing of the student is on the path.
sys.path.append(str(Path(__file__).resolve().parent.parent))

from class_own.place import Place, canonical, distributions

#: The course's settings: {"help": the contact, "closed": whether the network is closed to all but a list}.
COURSE = Path("/etc/jupyter/class_own.json")
#: Settings that would make pip install elsewhere.
ELSEWHERE = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PYTHONPATH", "PYTHONHOME")
#: Seconds to wait for a connection to the package index.
REACHABLE = 5


def main(arguments: Sequence[str]) -> int:
    """Run pip; return its exit code. Add explanations to pip's own messages."""
    place, course = Place.here(), settings(COURSE)
    try:
        place.make()
    except OSError as problem:
        say(f"{place.root} cannot be made: {problem}. Is the disk full? 'df -h ~' says so.")
        return 1
    installs = next((one for one in arguments if not one.startswith("-")), "") in {"install", "download", "wheel"}
    index = None if not installs else unreachable(os.environ)
    if index and course.get("closed"):
        say(f"This course's network is closed, and {index} is not on its list: pip installs nothing. {asking(course)}")
        return 1
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    if installs:
        limits = [environment.get("PIP_CONSTRAINT", ""), str(place.constraints)]
        environment["PIP_CONSTRAINT"] = " ".join(filter(None, limits))
    # pip itself is also one of the course's packages: no notes about new versions of it.
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    done = subprocess.run([str(place.python), "-m", "pip", *arguments], env=environment, check=False)
    if installs and done.returncode:
        for line in fixed(arguments, place):
            say(f"{line} {asking(course)}")
        if index:
            say(f"{index} does not answer; try again later.")
    elif installs:
        if (place.root / "share" / "jupyter" / "labextensions").is_dir():
            say(f"An extension of JupyterLab works only where the course has it. {asking(course)}")
        say(
            "Your own packages are only for you, and come after what the course has. "
            "To remove all of them: Settings > Remove My Own Packages."
        )
    return done.returncode


def fixed(arguments: Sequence[str], place: Place) -> list[str]:
    """Return a sentence for each requested package that the course has in another version."""
    have = {
        canonical(one.name): f"{one.name} {one.version}"
        for one in distributions(place.environment / place.packages.relative_to(place.root))
    }
    found = []
    for word in arguments:
        name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", word)
        if name and canonical(name[0]) in have and (len(name[0]) < len(word) or "-U" in arguments):
            found.append(f"The course has {have[canonical(name[0])]}, the same for everybody, and that stays.")
    return found


def asking(course: dict[str, object]) -> str:
    """Return a sentence that says whom to ask for a package."""
    whom = str(course.get("help") or "").strip()
    return f"Ask for it: {whom}" if whom else "Ask your teacher for it."


def unreachable(environment: "os._Environ[str]") -> str | None:
    """Return the name of the package index if it cannot be reached, otherwise None."""
    address = environment.get("PIP_INDEX_URL") or configured()
    index = urllib.parse.urlsplit(address)
    name = index.hostname or ""
    if index.scheme not in {"http", "https"} or not name:
        return None
    proxy = urllib.parse.urlsplit(environment.get(f"{index.scheme}_proxy") or environment.get("https_proxy") or "")
    port = index.port or (443 if index.scheme == "https" else 80)
    try:
        with socket.create_connection((proxy.hostname or name, proxy.port or port), REACHABLE) as line:
            if not proxy.hostname:
                return None
            line.sendall(f"CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\n\r\n".encode())
            status = line.recv(64).split(b" ")
            return None if status[1:2] == [b"200"] else name
    except OSError:
        return name


def configured() -> str:
    """Return the index in pip's configuration, or pip's default."""
    asked = subprocess.run(
        [sys.executable, "-I", "-m", "pip", "config", "get", "global.index-url"],
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode == 0 and asked.stdout.strip():
        return asked.stdout.strip()
    from pip._internal.models.index import PyPI

    return PyPI.simple_url


def settings(path: Path) -> dict[str, object]:
    """Return the course's settings, or nothing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def say(words: str) -> None:
    """Print a line after pip's output."""
    sys.stdout.flush()
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
