"""The machine under test, as Test Kitchen's shell verifier describes it: in KITCHEN_* variables."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def address() -> str:
    """The machine's public address."""
    return os.environ["KITCHEN_HOSTNAME"]


@pytest.fixture(scope="session")
def user() -> str:
    return os.environ.get("KITCHEN_USERNAME", "root")


@pytest.fixture(scope="session")
def ssh_config(address: str, user: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SSH configuration: the wrapper's own file; with the gem, one made from its driver's values."""
    given = os.environ.get("KITCHEN_SSH_CONFIG")
    if given:
        return Path(given)
    directory = tmp_path_factory.mktemp("ssh")
    lines = [
        f"Host {os.environ['KITCHEN_INSTANCE']}",
        f"  HostName {address}",
        f"  User {user}",
        f"  Port {os.environ.get('KITCHEN_PORT', '22')}",
        # Test Kitchen's drivers do not know the host key; the first one is pinned for the rest.
        "  StrictHostKeyChecking accept-new",
        f"  UserKnownHostsFile {directory}/known_hosts",
        "  BatchMode yes",
    ]
    if "KITCHEN_SSH_KEY" in os.environ:
        lines += [f"  IdentityFile {os.environ['KITCHEN_SSH_KEY']}", "  IdentitiesOnly yes"]
    path = directory / "config"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def host(ssh_config: Path, user: str) -> Host:
    """The machine, as root, through testinfra."""
    return testinfra.get_host(
        f"ssh://{os.environ['KITCHEN_INSTANCE']}", ssh_config=str(ssh_config), sudo=user != "root", timeout=60
    )


@pytest.fixture(scope="session")
def fresh_ssh(ssh_config: Path) -> Shell:
    """A separate connection with further ssh options, to test sshd's answers."""

    def connect(*options: str, login: str = "root") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ssh", "-F", str(ssh_config), "-o", "ControlPath=none", "-o", "LogLevel=INFO", "-l", login, *options,
             os.environ["KITCHEN_INSTANCE"], "true"],
            capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    return connect


@pytest.fixture(scope="session")
def ca_bundle() -> Path | None:
    """The authority of the test CA's certificates; None is the system's own."""
    given = os.environ.get("KITCHEN_CA_BUNDLE")
    return Path(given) if given else None
