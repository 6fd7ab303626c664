"""``test``: everything that proves this repository, with what it needs installed first."""

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

#: In the order of a run: the cheap ones find most, the machines come last.
SUITES = ("lint", "render", "unit", "kitchen", "machine", "attacks", "browser")
#: What ``quick`` runs, without the tests that take long.
_QUICK = ("lint", "render", "unit")
#: Those that want machines of the local cloud.
_ON_MACHINES = ("kitchen", "machine", "attacks", "browser")
#: What coverage is measured of. Programs of formulas that only a server's environments can import are not in it.
_MEASURED = ("runner", "salt", "formulas")
#: Lines of it that the unit suite must reach, in per cent. Not measured where its tests that need root are
#: skipped; CI is root.
COVERAGE = 90
#: One process more than there are cores, as tests wait a sixth of their time. tests/conftest.py keeps together what is
#: made once.
_SIDE_BY_SIDE = ("-n", str((os.cpu_count() or 1) + 1))
#: With two of these, two cores had a fifth of their time left; with three, hardly any before the last minutes, and a
#: load of 22 at the worst. Not tried on more cores.
_WITH_MACHINES = ("-n", "3")
_BROWSER = {
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
    "firefox-esr": "firefox-esr",
    "certutil": "libnss3-tools",
}
#: Programs that suites call, by the Debian package that carries them.
_PACKAGES = {
    "lint": {"shellcheck": "shellcheck"},
    "render": {"nft": "nftables"},
    "machine": {"ssh": "openssh-client", "nft": "nftables", **_BROWSER},
    "attacks": {"ssh": "openssh-client", "nft": "nftables", **_BROWSER},
    "browser": _BROWSER,
}
#: Servers whose own parsers read what we render. Installed they would start on this computer, so they are unpacked.
_PARSERS = {"nginx": "nginx", "sshd": "openssh-server", "visudo": "sudo"}
_PARSERS_LIBRARIES = ("libwrap0",)


def test(project: Project, arguments: list[str]) -> int:
    """Run the named suites (all without a name) with the remaining ``arguments`` for pytest; its exit code."""
    if arguments[:1] == ["quick"]:
        return _quick(project, arguments[1:])
    # Suites come first: after the first option a word may be that option's value.
    names = list(itertools.takewhile(lambda argument: argument in SUITES, arguments))
    options = arguments[len(names) :]
    if options and options[0].isalpha():
        raise CoursehubError(f"no suite {options[0]!r}; there are: {', '.join(SUITES)}", exit_code=USAGE)
    suites = [suite for suite in SUITES if suite in names] or list(SUITES)
    environment = _prepare(project, suites)
    if options:
        # In one process: -k, -x, --keep and --pdb mean what pytest's manual says.
        return _pytest(project, environment, suites, *options)
    machines = local.why_unavailable() is None
    measured = bool(os.environ.get("CI")) or machines
    wanted = machines and _directories(project, (suite for suite in suites if suite in _ON_MACHINES))
    codes = []
    with _images_meanwhile() if wanted else contextlib.nullcontext():
        for group, together in itertools.groupby(suites, key=lambda suite: _company(suite, measured)):
            if group == "measured":
                codes.append(_measured_units(project, environment))
            else:
                side_by_side = _WITH_MACHINES if group == "machines" else _SIDE_BY_SIDE
                codes.append(_pytest(project, environment, together, *side_by_side))
    return next((code for code in codes if code), 0)


def _quick(project: Project, options: list[str]) -> int:
    """Side by side what takes seconds: for who changes something and wants to know at once."""
    environment = _prepare(project, list(_QUICK))
    return _pytest(project, environment, _QUICK, *_SIDE_BY_SIDE, "--quick", *options)


def _prepare(project: Project, suites: list[str]) -> dict[str, str]:
    """Install what the suites need; the environment variables to run them with."""
    _install_python(project)
    _install_debian(suites)
    parsers = _unpack_parsers(project) if "render" in suites else []
    # salt-factories starts daemons by this environment's scripts; a teacher's own Salt must not be found.
    places = [str(Path(sys.executable).parent), os.environ["PATH"], *parsers, "/usr/sbin", "/sbin"]
    return {**os.environ, "PATH": ":".join(places)}


def _company(suite: str, measured: bool) -> str:
    """Suites of one name run in one pytest: those with machines share them, the others fill the processes."""
    if suite == "unit" and measured:
        # By itself: what other suites reach of the runner on their way proves little.
        return "measured"
    return "machines" if suite in _ON_MACHINES else "repository"


@contextlib.contextmanager
def _images_meanwhile() -> Iterator[None]:
    """Build the machines' base images beside the suites that need few; who needs one that is not there yet waits."""
    # Before any test looks for them: apt lets nobody else in.
    local.install_packages(_say)
    pool = ThreadPoolExecutor(max_workers=1)
    # One after the other, the oldest first: the unit suite wants it. What fails here is told where it is needed.
    for slug in local.SUITES:
        pool.submit(local.prepare_image, slug, _say)
    try:
        yield
    finally:
        pool.shutdown(cancel_futures=True)


def _say(text: str) -> None:
    print(f"coursehub: {text}", file=sys.stderr)


def _directories(project: Project, suites: Iterable[str]) -> list[str]:
    """Those of the suites that the repository has."""
    return [str(path) for suite in suites if (path := project.root / "tests" / suite).is_dir()]


def _pytest(project: Project, environment: dict[str, str], suites: Iterable[str], *options: str) -> int:
    directories = _directories(project, suites)
    # Without one pytest would run all that it finds.
    if not directories:
        return 0
    command = [sys.executable, "-m", "pytest", *directories, *options]
    return subprocess.run(command, cwd=project.root, env=environment, check=False).returncode


def _measured_units(project: Project, environment: dict[str, str]) -> int:
    """The unit suite and how much of our Python it reached; its exit code, pytest-cov's where that is too little."""
    directory = project.state / "coverage"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    # Programs that tests start, from wherever they do, write beside it.
    environment = {**environment, "COVERAGE_FILE": str(directory / "unit")}
    # Whole paths: in a program that runs elsewhere "salt" would be the installed package.
    source = (project.root / part for part in _MEASURED)
    measured = [f"--cov={directory}" for directory in source if directory.is_dir()]
    report = (*measured, "--cov-report=term:skip-covered", f"--cov-fail-under={COVERAGE}")
    return _pytest(project, environment, ["unit"], *_SIDE_BY_SIDE, *report)


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
    """Install what is missing when that is possible; without root the tests that need it say so and are skipped."""
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
    """Fetch the servers that are not installed and unpack them below .coursehub; where their programs are then."""
    missing = {program: package for program, package in _PARSERS.items() if not _which(program)}
    directory = project.state / "parsers"
    programs = directory / "bin"
    if not missing or not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return []
    if not all((programs / program).exists() for program in missing):
        _say(f"unpacking {' '.join(sorted(missing.values()))} for their parsers")
        shutil.rmtree(directory, ignore_errors=True)
        programs.mkdir(parents=True)
        # Where they cannot be had (no network, no package lists) the tests that want them are skipped and say so.
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
