"""``test``: everything that proves this repository, with what it needs installed first."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from runner.errors import USAGE, CoursehubError
from runner.project import Project

#: In the order of a run: the cheap ones find most, the machines come last.
SUITES = ("lint", "unit", "render", "kitchen", "machine", "browser")
#: Programs that suites call, by the Debian package that carries them.
_PACKAGES = {
    "lint": {"shellcheck": "shellcheck"},
    "render": {"nginx": "nginx", "nft": "nftables", "sshd": "openssh-server", "visudo": "sudo"},
    "machine": {"ssh": "openssh-client", "nft": "nftables"},
    "browser": {"chromium": "chromium", "chromedriver": "chromium-driver", "ssh": "openssh-client"},
}


def test(project: Project, arguments: list[str]) -> int:
    """Run the named suites (all without a name) with the remaining ``arguments`` for pytest; its exit code."""
    names = [argument for argument in arguments if argument in SUITES]
    options = [argument for argument in arguments if argument not in SUITES]
    unknown = [
        argument
        for argument in options
        if not argument.startswith("-") and argument.isalpha() and options.index(argument) == 0
    ]
    if unknown:
        raise CoursehubError(f"no suite {unknown[0]!r}; there are: {', '.join(SUITES)}", exit_code=USAGE)
    suites = [suite for suite in SUITES if suite in names] or list(SUITES)
    _install_python(project)
    _install_debian(suites)
    directories = [str(path) for suite in suites if (path := project.root / "tests" / suite).is_dir()]
    # salt-factories starts daemons by this environment's scripts; a teacher's own Salt must not be found.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *directories, *options], cwd=project.root, env=environment, check=False
    ).returncode


def _install_python(project: Project) -> None:
    lock = project.root / "requirements" / "test.lock"
    stamp = Path(sys.prefix) / "test.lock"
    if stamp.is_file() and stamp.read_bytes() == lock.read_bytes():
        return
    print("coursehub: installing the test packages into .venv", file=sys.stderr)
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "uv"),
            "pip",
            "install",
            "--quiet",
            "--python",
            sys.executable,
            "--require-hashes",
            "-r",
            str(lock),
        ],
        check=False,
    )
    if done.returncode:
        raise CoursehubError("the test packages could not be installed (see above); run the same command again")
    shutil.copyfile(lock, stamp)


def _install_debian(suites: list[str]) -> None:
    """Install what is missing when that is possible; without root the tests that need it say so and are skipped."""
    packages = {
        package
        for suite in suites
        for program, package in _PACKAGES.get(suite, {}).items()
        if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    }
    if not packages or os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    print(f"coursehub: installing the Debian packages {' '.join(sorted(packages))}", file=sys.stderr)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "-qq", "update"],
        ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *sorted(packages)],
    ):
        done = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment, check=False
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise CoursehubError(f"apt-get could not install {' '.join(sorted(packages))}: {last}")
