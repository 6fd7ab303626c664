"""Linters, and rules that prevent past bugs. `pre-commit` runs the same (.pre-commit-config.yaml)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runner.packages import lock
from runner.verbs import relock

pytestmark = pytest.mark.unit

REPO = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def tracked(*patterns: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=REPO, capture_output=True, text=True, check=True
    ).stdout
    return [name for name in listed.split("\0") if name and (REPO / name).is_file()]


def shell_scripts() -> list[str]:
    """Every file whose first line names a shell, except templates."""
    found = []
    for name in tracked():
        path = REPO / name
        with path.open("rb") as handle:
            first = handle.readline()
        if re.match(rb"#! ?/(usr/)?bin/(env )?(ba|da)?sh", first) and b"{{" not in path.read_bytes():
            found.append(name)
    return found


def clean(*argv: str) -> None:
    done = subprocess.run(argv, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff() -> None:
    clean(str(BIN / "ruff"), "check", "--no-cache", ".")


def test_ruff_format() -> None:
    clean(str(BIN / "ruff"), "format", "--check", "--no-cache", ".")


def test_mypy_strict() -> None:
    clean(str(BIN / "mypy"), "--cache-dir", os.devnull)


def test_salt_lint() -> None:
    clean(str(BIN / "salt-lint"), *tracked("*.sls"))


def test_yamllint() -> None:
    clean(str(BIN / "yamllint"), "--strict", *tracked("*.yml", "*.yaml"))


def test_shellcheck() -> None:
    if not shutil.which("shellcheck"):
        assert not os.environ.get("CI"), "CI must have shellcheck"
        pytest.skip("shellcheck is not installed; as root the test verb installs it")
    clean("shellcheck", *shell_scripts())


@pytest.mark.parametrize(
    ("rule", "pattern", "where"),
    [
        (
            "host key checking is never off",
            r"StrictHostKeyChecking[= ](no|off|accept-new)|ignore_host_keys: *true",
            ("runner", "salt", "Saltfile", "formulas"),
        ),
        (
            "certificate verification is never off",
            r"verify ?= ?False|CERT_NONE|check_hostname ?= ?False|curl [^\n]*(-k\b|--insecure)",
            ("runner", "salt", "formulas", "tests/machine", "tests/browser"),
        ),
        (
            "a private key is never readable by others",
            r"mode: *['\"]?0?(777|666|644)['\"]?[^\n]*privkey",
            ("salt", "formulas"),
        ),
        ("pip.installed with requirements reports a change at every run", r"pip\.installed", ("salt", "formulas")),
        (
            "no address outside loopback is listened on by hub or proxy",
            r"(bind_url|hub_ip|--ip)[= ]+['\"]?(http://)?0\.0\.0\.0",
            ("formulas",),
        ),
        ("no secret is an argument of a command", r"--(password|token|secret)[= ]\{\{", ("salt", "formulas")),
    ],
)
def test_past_bugs_stay_out(rule: str, pattern: str, where: tuple[str, ...]) -> None:
    hits = [
        f"{name}:{number}"
        for name in tracked(*where)
        for number, line in enumerate((REPO / name).read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert not hits, f"{rule}: {hits}"


def test_no_private_key_or_token_is_tracked() -> None:
    keys = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/=\n]{64}|dop_v1_[0-9a-f]{64}")
    hits = [name for name in tracked() if keys.search((REPO / name).read_text(encoding="utf-8", errors="replace"))]
    assert not hits


def test_no_lock_is_old() -> None:
    """A warning instead of a failure: the date alone must not make a green revision fail."""
    today = datetime.now(UTC).date()
    for path in relock.all_locks(REPO):
        resolved = lock.resolved_on(path)
        assert resolved, f"{path} does not say when it was resolved; run ./coursehub lock --all"
        age = (today - resolved).days
        if age > relock.OLD_DAYS:
            warnings.warn(f"{path.relative_to(REPO)} is {age} days old; run ./coursehub lock --all", stacklevel=1)
