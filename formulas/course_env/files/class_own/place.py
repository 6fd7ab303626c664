"""The directory of a student's own packages: a virtual environment for each of the course's environments."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

#: Below the home.
OWN = Path(".local/share/coursehub/packages")


class Place:
    """The own packages in a home, for one of the course's environments (a directory)."""

    def __init__(self, home: Path, environment: Path) -> None:
        self.home, self.environment = home, environment
        self.all = home / OWN
        self.root = self.all / environment.name
        self.python = self.root / "bin" / "python"
        self.constraints = self.root / "course.txt"

    @classmethod
    def here(cls) -> "Place":
        """Return the place for the environment of this process."""
        return cls(Path.home(), Path(os.environ.get("COURSEHUB_ENV") or os.path.realpath(sys.prefix)))

    @property
    def packages(self) -> Path:
        """Return the directory with the modules."""
        return _packages(self.root)

    def make(self) -> None:
        """Make it if it is missing. Its pip sees the course's packages. Raises OSError."""
        made = self.root / "pyvenv.cfg"
        if not made.exists():
            argv = [sys.executable, "-I", "-m", "venv", "--without-pip", str(self.root)]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            if done.returncode:
                raise OSError((done.stderr or done.stdout).strip() or f"{self.root} was not made")
        # Done each time: an interrupted reset, or a student who cleaned up, may have left only a part.
        self.packages.mkdir(parents=True, exist_ok=True)
        (self.packages / "course.pth").write_text(f"{_packages(self.environment)}\n", encoding="utf-8")
        pinned = (f"{one.name}=={one.version}\n" for one in distributions(_packages(self.environment)))
        self.constraints.write_text("".join(sorted(pinned)), encoding="utf-8")

    def reset(self) -> None:
        """Remove all own packages, also of earlier environments. Raises OSError."""
        try:
            # A link is removed itself, not the directory behind it, which may belong to another person.
            (os.unlink if self.all.is_symlink() else shutil.rmtree)(self.all)
        except FileNotFoundError:
            return

    def own(self) -> list[str]:
        """Return the packages in it, as ``name version``, sorted."""
        return sorted(f"{one.name} {one.version}" for one in distributions(self.packages))

    def earlier(self) -> list[str]:
        """Return packages of the previous environment's place that this one does not have, as ``name==version``."""
        places = sorted((one for one in _folders(self.all) if one != self.root), key=lambda one: one.stat().st_mtime)
        if not places:
            # Lab asks at each start, and reading the course's packages takes a tenth of a second.
            return []
        found = distributions(_packages(places[-1]))
        there = [*distributions(self.packages), *distributions(_packages(self.environment))]
        here = {canonical(one.name) for one in there}
        return sorted(f"{one.name}=={one.version}" for one in found if canonical(one.name) not in here)

    def broken(self) -> list[str]:
        """Return packages that cannot work, each with what is missing. Nothing of them is imported."""
        found = [f"{one.name[1:]}: half removed" for one in _folders(self.packages) if one.name.startswith("~")]
        installed = [
            one for one in _folders(self.packages) if one.name.endswith(".dist-info") and not one.name.startswith("~")
        ]
        # Reading the course's packages takes a tenth of a second.
        there = [*distributions(_packages(self.environment)), *distributions(self.packages)] if installed else []
        versions = {canonical(one.name): one.version for one in there}
        for one in installed:
            package = PathDistribution(one)
            lacks = _lacks(package) or _needs(package, versions)
            if lacks:
                found.append(f"{one.name.partition('-')[0]}: {lacks}")
        return sorted(found)


def distributions(packages: Path) -> list[Distribution]:
    """Return the packages that are installed in a directory, also incomplete ones, except those without a name."""
    found = (PathDistribution(one) for one in _folders(packages) if one.name.endswith(".dist-info"))
    return [one for one in found if _named(one)]


def canonical(name: str) -> str:
    """Return a package's name in the form in which the index compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _packages(root: Path) -> Path:
    return root / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _folders(path: Path) -> Iterator[Path]:
    try:
        yield from (Path(one.path) for one in os.scandir(path) if one.is_dir(follow_symlinks=False))
    except OSError:
        return


def _named(one: Distribution) -> bool:
    try:
        return bool(one.metadata["Name"] and one.metadata["Version"])
    except (OSError, UnicodeError, KeyError):
        return False


def _lacks(one: Distribution) -> str:
    if not _named(one):
        return "its description is missing"
    try:
        files = one.files
        modules = [file for file in files or () if file.suffix in (".py", ".so")]
        missing = [file for file in modules if not Path(str(file.locate())).exists()]
    except (OSError, UnicodeError, ValueError):
        return "the list of its files cannot be read"
    if files is None:
        return "the list of its files is missing"
    return f"{len(missing)} of its files are missing, {missing[0]} first" if missing else ""


def _needs(one: Distribution, versions: dict[str, str]) -> str:
    # pip checks this when it installs a package, but not when it removes another one.
    for line in one.requires or ():
        try:
            need = Requirement(line)
        except InvalidRequirement:
            continue
        if need.marker and not need.marker.evaluate({"extra": ""}):
            continue
        version = versions.get(canonical(need.name))
        if version is None:
            return f"needs {need.name}, which is not installed"
        if not need.specifier.contains(version, prereleases=True):
            return f"needs {need.name} {need.specifier}, but {version} is installed"
    return ""
