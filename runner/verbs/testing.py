"""``test``: runs the repository's tests after installing what they need."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runner import local
from runner.errors import USAGE, CoursehubError
from runner.project import Project

#: In the order of a run: the cheap ones find the most, those with machines come last.
SUITES = ("lint", "render", "unit", "kitchen", "machine", "attacks", "browser")
#: Suites that take long and run only when they are named.
BY_NAME = ("data", "load")
#: The suites of ``quick``, without the slow tests.
_QUICK = ("lint", "render", "unit")
#: The suites that need machines of the local cloud.
_ON_MACHINES = ("kitchen", "machine", "attacks", "browser", *BY_NAME)
#: What coverage includes. Programs of formulas that only a server's environments can import are left out.
_MEASURED = ("runner", "salt", "formulas")
#: The unit suite must reach this per cent of its lines. Not measured if tests that need root are skipped; CI runs as
#: root.
COVERAGE = 90
#: One process more than there are cores, because tests wait a sixth of their time. tests/conftest.py keeps tests
#: together that share something costly.
_SIDE_BY_SIDE = ("-n", str((os.cpu_count() or 1) + 1))
#: With two processes, two cores were idle for a fifth of the time; with three, hardly at all before the last minutes,
#: with a load of up to 22. Not tried on more cores.
#: A line for each test: a run that is cut off then says how far it came, and a complete one where its time went.
_WITH_MACHINES = ("-n", "3", "-v", "--durations=25")
#: Without a name, suites leave out their tests that take long (tests/ marks them): the run must end within 45 minutes.
_SHORT = ("-m", "not long")
_BROWSER = {
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
    "firefox-esr": "firefox-esr",
    "certutil": "libnss3-tools",
}
#: Programs that suites call, with their Debian package.
_PACKAGES = {
    "lint": {"shellcheck": "shellcheck"},
    "render": {"nft": "nftables"},
    "unit": {"mkfs.btrfs": "btrfs-progs"},
    "machine": {"ssh": "openssh-client", "nft": "nftables", **_BROWSER},
    "attacks": {"ssh": "openssh-client", "nft": "nftables", **_BROWSER},
    "data": {"ssh": "openssh-client", "nft": "nftables"},
    "load": {"ssh": "openssh-client", "nft": "nftables", **_BROWSER},
    "browser": _BROWSER,
}
#: Servers whose own parsers check our rendered files. Installed, they would start on this computer, so they are only
#: unpacked.
_PARSERS = {"nginx": "nginx", "sshd": "openssh-server", "visudo": "sudo"}
_PARSERS_LIBRARIES = ("libwrap0",)


def test(project: Project, arguments: list[str]) -> int:
    """Run the named suites with the other ``arguments`` for pytest; return its exit code.

    Without a name: SUITES, but for tests with the mark ``long``.
    """
    if arguments[:1] == ["quick"]:
        return _quick(project, arguments[1:])
    # Suites come first: after the first option a word may be that option's value.
    names = list(itertools.takewhile(lambda argument: argument in (*SUITES, *BY_NAME), arguments))
    options = arguments[len(names) :]
    if options and options[0].isalpha():
        raise CoursehubError(f"no suite {options[0]!r}; there are: {', '.join((*SUITES, *BY_NAME))}", exit_code=USAGE)
    suites = [suite for suite in (*SUITES, *BY_NAME) if suite in names] or list(SUITES)
    short = () if names else _SHORT
    environment = _prepare(project, suites)
    if options:
        # In one process, so that -k, -x, --keep and --pdb work as in pytest's manual.
        return _pytest(project, environment, suites, *short, *options)
    machines = local.why_unavailable() is None
    measured = bool(os.environ.get("CI")) or machines
    wanted = machines and _directories(project, (suite for suite in suites if suite in _ON_MACHINES))
    codes = []
    with _images_meanwhile() if wanted else contextlib.nullcontext():
        for group, together in itertools.groupby(suites, key=lambda suite: _company(suite, measured)):
            if group == "measured":
                codes.append(_measured_units(project, environment, *short))
            else:
                side_by_side = _WITH_MACHINES if group == "machines" else _SIDE_BY_SIDE
                codes.append(_pytest(project, environment, together, *side_by_side, *short))
    return next((code for code in codes if code), 0)


def _quick(project: Project, options: list[str]) -> int:
    """Run the fast tests side by side, for quick feedback on a change."""
    environment = _prepare(project, list(_QUICK))
    return _pytest(project, environment, _QUICK, *_SIDE_BY_SIDE, "--quick", *options)


def _prepare(project: Project, suites: list[str]) -> dict[str, str]:
    """Install what the suites need; return the environment variables for them."""
    _install_python(project)
    _install_debian(suites)
    parsers = _unpack_parsers(project) if "render" in suites else []
    # salt-factories starts daemons with this environment's scripts; a teacher's own Salt must not be found.
    places = [str(Path(sys.executable).parent), os.environ["PATH"], *parsers, "/usr/sbin", "/sbin"]
    return {**os.environ, "PATH": ":".join(places)}


def _company(suite: str, measured: bool) -> str:
    """The name of a suite's group: the suites of one group run in one pytest.

    Those with machines share the machines; the others fill the processes.
    """
    if suite == "unit" and measured:
        # Alone: what other suites reach of the runner proves little.
        return "measured"
    return "machines" if suite in _ON_MACHINES else "repository"


@contextlib.contextmanager
def _images_meanwhile() -> Iterator[None]:
    """Build the machines' base images while the suites run that need few of them; a test waits for a missing image."""
    # Before any test needs them: apt runs only once at a time.
    local.install_packages(_say)
    pool = ThreadPoolExecutor(max_workers=1)
    # One after the other, the oldest first, because the unit suite needs it. An error here is reported where the image
    # is needed.
    for slug in local.SUITES:
        pool.submit(local.prepare_image, slug, _say)
    try:
        yield
    finally:
        pool.shutdown(cancel_futures=True)


def _say(text: str) -> None:
    print(f"coursehub: {text}", file=sys.stderr)


def _directories(project: Project, suites: Iterable[str]) -> list[str]:
    """The existing directories of the suites."""
    return [str(path) for suite in suites if (path := project.root / "tests" / suite).is_dir()]


def _pytest(project: Project, environment: dict[str, str], suites: Iterable[str], *options: str) -> int:
    directories = _directories(project, suites)
    # Without a directory pytest would run everything that it finds.
    if not directories:
        return 0
    command = [sys.executable, "-m", "pytest", *directories, *options]
    return subprocess.run(command, cwd=project.root, env=environment, check=False).returncode


def _measured_units(project: Project, environment: dict[str, str], *options: str) -> int:
    """Run the unit suite and measure coverage; the exit code is pytest-cov's if it is too low."""
    directory = project.state / "coverage"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    # Programs that tests start, from any directory, write their data beside it.
    environment = {**environment, "COVERAGE_FILE": str(directory / "unit")}
    # Absolute paths: in a program that runs elsewhere, "salt" would be the installed package.
    source = (project.root / part for part in _MEASURED)
    measured = [f"--cov={directory}" for directory in source if directory.is_dir()]
    report = (*measured, "--cov-report=term:skip-covered", f"--cov-fail-under={COVERAGE}")
    return _pytest(project, environment, ["unit"], *_SIDE_BY_SIDE, *report, *options)


def _install_python(project: Project) -> None:
    lock = project.root / "requirements" / "test.lock"
    stamp = Path(sys.prefix) / "test.lock"
    if stamp.is_file() and stamp.read_bytes() == lock.read_bytes():
        return
    _say("installing the test packages into .venv")
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "uv"),
            "pip",
            "install",
            "--quiet",
            "--compile-bytecode",
            "--python",
            sys.executable,
            "--require-hashes",
            "--no-deps",
            "-r",
            str(lock),
        ],
        check=False,
    )
    if done.returncode:
        raise CoursehubError("the test packages could not be installed (see above); run the same command again")
    shutil.copyfile(lock, stamp)


def _install_debian(suites: list[str]) -> None:
    """Install what is missing if possible; without root, the tests that need it are skipped with a message."""
    packages = {
        package for suite in suites for program, package in _PACKAGES.get(suite, {}).items() if not _which(program)
    }
    if not packages or os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    _say(f"installing the Debian packages {' '.join(sorted(packages))}")
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


def _unpack_parsers(project: Project) -> list[str]:
    """Unpack missing servers below .coursehub; return the directories of their programs."""
    missing = {program: package for program, package in _PARSERS.items() if not _which(program)}
    directory = project.state / "parsers"
    programs = directory / "bin"
    if not missing or not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return []
    if not all((programs / program).exists() for program in missing):
        _say(f"unpacking {' '.join(sorted(missing.values()))} for their parsers")
        shutil.rmtree(directory, ignore_errors=True)
        programs.mkdir(parents=True)
        # If they cannot be downloaded (no network, no package lists), the tests that need them are skipped with a
        # message.
        subprocess.run(
            ["apt-get", "-qq", "download", *missing.values(), *_PARSERS_LIBRARIES],
            cwd=directory,
            capture_output=True,
            check=False,
        )
        for archive in directory.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", archive.name, "."], cwd=directory, check=False)
            archive.unlink()
        for program in missing:
            _wrap(directory, programs / program)
    return [str(programs)]


def _wrap(directory: Path, wrapper: Path) -> None:
    """A command that runs the unpacked program with the libraries that were unpacked beside it."""
    program = directory / "usr" / "sbin" / wrapper.name
    if program.exists():
        libraries = ":".join(
            str(path) for path in (*directory.glob("usr/lib/*-linux-gnu*"), directory / "usr/libexec/sudo")
        )
        wrapper.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH="{libraries}" exec "{program}" "$@"\n', encoding="utf-8")
        wrapper.chmod(0o755)


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
