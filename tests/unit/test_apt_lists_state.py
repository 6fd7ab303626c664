"""Package lists: waiting for their lock, and ignoring a broken source of another vendor."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.loading import load

pytestmark = pytest.mark.unit

REPO = Path(__file__).resolve().parents[2]
HELD = {
    "retcode": 100,
    "stdout": "",
    "stderr": "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7",
}
FINE = {"retcode": 0, "stdout": "Reading package lists...", "stderr": ""}
BROKEN = {
    "retcode": 100,
    "stdout": "Err:3 https://repos.insights.example.com/apt/do-agent main Release",
    "stderr": "E: The repository 'https://repos.insights.example.com/apt/do-agent main' does not have a Release file.",
}
DOWN = {"retcode": 100, "stdout": "", "stderr": "E: The repository 'http://mirror.example.org/debian x' is not signed."}


class Apt:
    """The state with a fake apt: ``answers`` in order, the last one for ever."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state: Any = load(REPO / "salt/_states/apt_lists.py")
        self.calls: list[list[str]] = []
        self.answers = [FINE]
        self.cleared: list[Any] = []
        self.state.__opts__ = {"test": False}
        self.state.__salt__ = {"cmd.run_all": self.run, "pkg.list_pkgs": lambda: {"nginx": "1"}}
        self.state.__lowstate__ = [
            {"state": "pkg", "fun": "installed", "name": "a", "pkgs": ["nginx", {"certbot": "2"}]},
            {"state": "pkg", "fun": "removed", "name": "telnet"},
        ]
        (root / "sources.list.d").mkdir(parents=True)
        (root / "sources.list.d/debian.sources").write_text("Types: deb\n")
        monkeypatch.setattr(self.state, "SOURCES", root)
        monkeypatch.setattr(self.state, "PAUSE", 0.0)
        monkeypatch.setattr(self.state.salt.utils.pkg, "clear_rtag", self.cleared.append)

    def run(self, argv: list[str], **_options: Any) -> dict[str, Any]:
        self.calls.append(argv)
        return self.answers[min(len(self.calls), len(self.answers)) - 1]


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    return Apt(tmp_path / "apt", monkeypatch)


def test_nothing_is_loaded_when_all_is_there(apt: Apt) -> None:
    apt.state.__salt__["pkg.list_pkgs"] = lambda: {"nginx": "1", "certbot": "2"}
    assert apt.state.fresh("lists")["result"] is True
    assert apt.calls == []
    assert apt.cleared == []


def test_a_plan_loads_nothing(apt: Apt) -> None:
    apt.state.__opts__["test"] = True
    assert apt.state.fresh("lists")["changes"] == {}
    assert apt.calls == []


def test_a_held_lock_is_waited_for(apt: Apt) -> None:
    apt.answers = [HELD, HELD, FINE]
    ended = apt.state.fresh("lists")
    assert ended["result"] is True
    assert "warnings" not in ended
    assert len(apt.calls) == 3
    assert len(apt.cleared) == 1


def test_lock_that_is_held_for_ever_is_reported(apt: Apt) -> None:
    apt.answers = [HELD]
    ended = apt.state.fresh("lists", lock_timeout=0.0)
    assert ended["result"] is False
    assert "Could not get lock" in ended["comment"]


def test_a_foreign_source_that_breaks_is_named(apt: Apt) -> None:
    """The provider's agents add their own sources, and a class's server must not wait for them."""
    (apt.state.SOURCES / "sources.list.d/digitalocean-agent.list").write_text("deb https://repos x main\n")
    apt.answers = [BROKEN, HELD, FINE]
    ended = apt.state.fresh("lists")
    assert ended["result"] is True
    (warning,) = ended["warnings"]
    assert "repos.insights.example.com" in warning
    assert "sources.list.d/digitalocean-agent.list" in warning
    assert f"Dir::Etc::SourceList={apt.state.SOURCES}/sources.list.d/debian.sources" in apt.calls[-1]
    assert len(apt.cleared) == 1


def test_a_foreign_host_that_is_silent_is_named(apt: Apt) -> None:
    """apt only warns about it; nothing is said about Debian's own mirror."""
    said = (
        "W: Failed to fetch https://repos.example.com/apt/x  Connection failed\nW: Failed to fetch http://deb.test/a  x"
    )
    (apt.state.SOURCES / "sources.list.d/agent.list").write_text("deb https://repos.example.com/apt main main\n")
    (apt.state.SOURCES / "sources.list.d/debian.sources").write_text("URIs: http://deb.test/debian\n")
    apt.answers = [{"retcode": 0, "stdout": "", "stderr": said}]
    (warning,) = apt.state.fresh("lists")["warnings"]
    assert "(repos.example.com; see sources.list.d/agent.list" in warning
    assert len(apt.calls) == 1


def test_debians_own_source_that_breaks_fails(apt: Apt) -> None:
    (apt.state.SOURCES / "sources.list.d/digitalocean-agent.list").write_text("deb https://repos x main\n")
    apt.answers = [DOWN]
    ended = apt.state.fresh("lists")
    assert ended["result"] is False
    assert "mirror.example.org" in ended["comment"]
    assert apt.cleared == []


def test_without_a_foreign_source_the_error_stays(apt: Apt) -> None:
    apt.answers = [DOWN]
    assert apt.state.fresh("lists")["result"] is False
    assert len(apt.calls) == 1


def test_real_apt_fails_at_once_in_words_that_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apt 2.6 (Debian 12) does not wait for the lists' lock, which a provider's agents hold at a first boot."""
    if not shutil.which("apt-get"):
        pytest.skip("needs apt-get")
    lists = tmp_path / "lists"
    (lists / "partial").mkdir(parents=True)
    none = [f"Dir::Etc::{what}=/dev/null" for what in ("SourceList", "SourceParts")]
    options = [part for one in (f"Dir::State::Lists={lists}", f"Dir::Cache={tmp_path}", *none) for part in ("-o", one)]
    with (lists / "lock").open("w") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        done = subprocess.run(["apt-get", *options, "update"], capture_output=True, text=True, check=False)
    assert done.returncode == 100
    assert Apt(tmp_path, monkeypatch).state._HELD.search(done.stderr)
