"""Finds versions below ``requirements/minimums.yaml``: in the locks, on this computer, on a server."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from runner.agreed import PATHS
from runner.errors import CoursehubError
from runner.hub.checks import Check
from runner.packages import lock
from runner.packages.minimums import TABLE, Minimum, load

#: The locks of each place; the courses' locks are added.
LOCKS = {
    "controller": (Path("requirements/runner.lock"),),
    "tests": (Path("requirements/test.lock"),),
    "hub": (Path("formulas/jupyterhub/files/hub.txt"),),
    "proxy": (Path("formulas/jupyterhub/files/proxy.txt"),),
    "course": (Path("formulas/course_env/files/base.txt"),),
    "audit": (Path("requirements/audit.lock"),),
}
#: The environment of each place on a server.
ENVIRONMENTS = {
    "hub": f"{PATHS['hub']}/hub/current",
    "proxy": f"{PATHS['hub']}/proxy/current",
    "course": f"{PATHS['course']}/env",
}
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+?)(?: ?;.*)?(?: \\)?$", re.MULTILINE)

#: It reads only file names and package.json; nothing of an environment is executed.
_ON_SERVER = r"""
. /etc/os-release
echo "release $ID-$VERSION_ID"
%(environments)s
%(debian)s
"""
_ENVIRONMENT = r"""
for info in %(path)s/lib/python3*/site-packages/*.dist-info; do
    [ -d "$info" ] && name=${info##*/} && echo "python %(place)s ${name%%.dist-info}"
done
for manifest in %(path)s/node_modules/*/package.json; do
    [ -f "$manifest" ] && echo "npm %(place)s $(basename "$(dirname "$manifest")") $(
        sed -n 's/^ *"version": *"\([^"]*\)".*/\1/p' "$manifest" | head -n 1)"
done
"""
# Only dpkg can compare its versions.
_DEBIAN = r"""
version=$(dpkg-query -W -f '${Version}' %(name)s 2>/dev/null) && [ -n "$version" ] && {
    if dpkg --compare-versions "$version" ge '%(minimum)s'; then said=ok; else said=below; fi
    echo "debian %(release)s %(name)s %(minimum)s $version $said"
}
"""


@dataclass(frozen=True)
class Below:
    """A package with an unsafe version. ``place`` is the lock, the environment or the release."""

    place: str
    name: str
    version: str
    row: Minimum

    @property
    def waits(self) -> bool:
        """Whether it cannot be fixed yet, because no index has a safe version."""
        return self.row.waiting is not None

    def __str__(self) -> str:
        """One line of text."""
        since = f"; no index has it (looked {self.row.waiting})" if self.waits else ""
        return f"{self.name} {self.version} in {self.place}: below {self.row.minimum} ({self.row.advisory}){since}"


def _older(version: str, minimum: str) -> bool:
    try:
        return Version(version) < Version(minimum)
    except InvalidVersion:
        # An unreadable version counts as unsafe.
        return True


def pinned(path: Path) -> dict[str, list[str]]:
    """The versions in a lock by canonical name; with markers one name can have several."""
    found: dict[str, list[str]] = {}
    for name, version in _PIN.findall(path.read_text(encoding="utf-8")):
        found.setdefault(canonicalize_name(name), []).append(version)
    return found


def in_locks(root: Path) -> list[Below]:
    """Versions below the table in the repository's locks, including the courses' locks."""
    below = []
    rows = [row for row in load(root) if row.kind == "python"]
    places = {**LOCKS, "course": (*LOCKS["course"], *sorted((root / lock.LOCKS).glob("*.txt")))}
    for place, paths in places.items():
        for path in (root / one for one in paths):
            if path.is_file():
                below += _compare(rows, place, str(path.relative_to(root)), pinned(path))
    return below


def _compare(rows: Iterable[Minimum], place: str, shown: str, versions: dict[str, list[str]]) -> list[Below]:
    return [
        Below(shown, row.name, version, row)
        for row in rows
        if place in row.where
        for version in versions.get(canonicalize_name(row.name), ())
        if _older(version, row.minimum)
    ]


def on_controller(root: Path) -> list[Below]:
    """Versions below the table in this Python environment."""
    versions: dict[str, list[str]] = {}
    for found in importlib.metadata.distributions():
        if found.name:
            versions.setdefault(canonicalize_name(found.name), []).append(found.version)
    rows = [row for row in load(root) if row.kind == "python"]
    return _compare(rows, "controller", "this computer", versions)


def server_script(rows: Iterable[Minimum], only: str | None = None) -> str:
    """The shell script that lists a server's versions; with ``only``, that of one Debian package."""
    debian = [row for row in rows if row.kind == "debian" and only in (None, row.name)]
    environments = {} if only else ENVIRONMENTS
    return _ON_SERVER % {
        "environments": "".join(_ENVIRONMENT % {"place": place, "path": path} for place, path in environments.items()),
        "debian": "".join(
            f'if [ "$ID-$VERSION_ID" = {release} ]; then\n'
            + _DEBIAN % {"release": release, "name": row.name, "minimum": row.minimum}
            + "fi\n"
            for row in debian
            for release in row.where
        ),
    }


def on_server(rows: list[Minimum], said: str) -> list[Below]:
    """Versions below the table on a server, from the output of ``server_script``.

    Raises CoursehubError if the script did not finish.
    """
    lines = [line.split() for line in said.splitlines()]
    if not lines or lines[0][0] != "release":
        raise CoursehubError("the server did not say its versions; run the audit again")
    versions: dict[tuple[str, str], dict[str, list[str]]] = {}
    below = []
    for line in lines:
        match line:
            case ["python", place, name]:
                name, _, version = name.partition("-")
                versions.setdefault(("python", place), {}).setdefault(canonicalize_name(name), []).append(version)
            case ["npm", place, name, version]:
                versions.setdefault(("npm", place), {}).setdefault(name, []).append(version)
            case ["debian", release, name, minimum, version, "below"]:
                wanted = (one for one in rows if one.name == name and one.minimum == minimum and release in one.where)
                below.append(Below(release, name, version, next(wanted)))
    for (kind, place), had in versions.items():
        of_kind = [row for row in rows if row.kind == kind]
        below += _compare(of_kind, place, f"the server's {place} environment", had)
    return below


def unknown_release(rows: Iterable[Minimum], said: str) -> str | None:
    """The server's release if the table has no line for it; then its packages cannot be judged."""
    release = said.split()[1]
    return None if any(row.kind == "debian" and release in row.where for row in rows) else release


_RUNNING = r"""
main=$(systemctl show -p MainPID --value nginx)
case $(readlink "/proc/$main/exe" 2>/dev/null) in
    '') echo "running none" ;;
    *'(deleted)') echo "running replaced" ;;
    *) echo "running new" ;;
esac
"""


def look_at_nginx(root: Path, run: Callable[[str], str]) -> Check:
    """Whether the server's nginx is a fixed build and that build runs; ``run`` runs a script as root there."""
    rows = load(root)
    said = run(server_script(rows, only="nginx") + _RUNNING)
    if release := unknown_release(rows, said):
        return Check("nginx", True, f"{TABLE} has no minimum for {release} yet; unattended upgrades keep it new")
    for below in on_server(rows, said):
        return Check("nginx", False, f"{below}; run 'apt-get update && apt-get install nginx' on the server")
    if "running none" in said.splitlines():
        return Check("nginx", False, "nginx does not run; 'coursehub apply COURSE' starts it, or says why not")
    if "running new" not in said.splitlines():
        return Check("nginx", False, "nginx runs in an older version than is installed; run 'systemctl restart nginx'")
    version = next(line.split()[4] for line in said.splitlines() if line.startswith("debian "))
    return Check("nginx", True, f"{version} runs, a build with the known fixes")
