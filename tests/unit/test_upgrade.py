"""`upgrade` and `rollback` on the teacher's computer: the conversation with the server, and what a teacher reads."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from runner.errors import CoursehubError
from runner.hub import halfway
from runner.hub.checks import Check
from runner.saltssh import results
from runner.servers import talking
from runner.servers.talking import Talk
from runner.verbs import debian, upgrade

pytestmark = pytest.mark.unit


class Server:
    """Access to a server on which ``script`` runs, whatever is asked for."""

    course_id = "demo"

    def __init__(self, script: str) -> None:
        self.script, self.commands = script, []  # type: ignore[var-annotated]

    def argv(self, _ip: str, *command: str) -> list[str]:
        self.commands.append(shlex.split(command[0]))
        return ["sh", "-c", self.script]


def talk(script: str) -> Talk:
    return Talk(Server(script), "192.0.2.1", "unit", ["program", "word"], after="mend")  # type: ignore[arg-type]


def test_talk_runs_in_a_unit_that_ends_in_order() -> None:
    server = Server("true")
    with Talk(server, "192.0.2.1", "unit", ["program", "a b"], after="mend"):  # type: ignore[arg-type]
        pass
    assert server.commands[0][:2] == ["systemd-run", "--quiet"]
    assert "--property=ExecStopPost=mend" in server.commands[0]
    assert server.commands[0][-2:] == ["program", "a b"]


def test_talk_hears_progress_and_answers() -> None:
    heard: list[str] = []
    with talk(
        """echo now building; echo noise; echo '{"saved": 1}'; read word; echo "{\\"said\\": \\"$word\\"}" """
    ) as it:
        assert it.hear(heard.append) == {"saved": 1}
        it.say("back two\nlines")
        assert it.hear(heard.append) == {"said": "back two lines"}
    assert heard == ["building"]


def test_talk_says_that_it_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talking, "BEAT", 0.05)
    with talk("""read one; read two; echo "{\\"heard\\": \\"$one $two\\"}" """) as it:
        it.keep_alive()
        assert it.hear(print) == {"heard": "alive alive"}


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo 'kex_exchange: Connection refused' >&2; exit 255", "demo: SSH to 192.0.2.1 failed"),
        ("echo 'Traceback' >&2; echo 'OSError: no' >&2; exit 1", "demo: the server's program ended: OSError: no"),
    ],
)
def test_talk_that_ends_without_an_answer(script: str, says: str) -> None:
    with talk(script) as it, pytest.raises(CoursehubError, match=says):
        it.hear(print)


def test_talk_ends_with_its_block() -> None:
    """The server's program sees the end of its input, and the ssh process is gone."""
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), talk("sleep 60") as it:
        raise KeyboardInterrupt
    assert it._process.poll() is not None
    assert time.monotonic() - began < 20


class Session:
    """A session whose server answers ``said``."""

    course_id = "demo"

    def __init__(self, said: str) -> None:
        self.said = said

    @property
    def access(self) -> Session:
        return self

    def run(self, _ip: str, _script: str, *, seconds: int = 60) -> str:
        del seconds
        return self.said


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("none\n", "demo: its server was never upgraded"),
        ('{"error": "no room"}\n', "demo: no room"),
        ("sh: 1: python3: not found\n", "demo: sh: 1: python3: not found"),
        ("", "demo: no answer"),
    ],
)
def test_answer_that_is_none(said: str, says: str) -> None:
    with pytest.raises(CoursehubError, match=says):
        upgrade.ask(Session(said), "192.0.2.1", "look")  # type: ignore[arg-type]


def test_last_document_counts() -> None:
    assert results.document_in('now x\n{"a": 1}\n{broken\n{"b": 2}\nend\n') == {"b": 2}
    assert results.document_in("nothing") is None


SERVES = {"hub": "abc", "course": "def", "jupyterhub": "6.1.1"}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"after": SERVES}, "demo: the hub is of this version already (JupyterHub 6.1.1, environment def)"),
        ({"after": SERVES, "trial": {}}, "'coursehub rollback demo' goes back"),
        (
            {"after": SERVES, "trial": {}, "saved": {"serves": SERVES, "at": 0}},
            "goes back to JupyterHub 6.1.1, environment def, with the settings of 19",
        ),
        ({"after": SERVES, "lost": ""}, "settings are those of that version again, the network and sign-in too"),
        ({"after": SERVES, "lost": ""}, "serves the version before again"),
        ({"after": SERVES, "lost": "who came must sign in again"}, "kept; but who came must sign in again"),
        ({"after": SERVES, "debian": {"installed": ["a", "b"]}}, "2 of Debian's packages upgraded"),
        ({"after": SERVES, "debian": {"waiting": ["a"], "because": "one person is at work"}}, "run 'coursehub upgrade"),
        (
            {"after": SERVES, "debian": {"reboot": ["kernel 2 is installed, 1 runs"]}},
            "'coursehub upgrade demo --reboot'",
        ),
        ({"after": SERVES, "debian": {"rebooted": ["kernel 2"], "reboot": []}}, "restarted: kernel 2"),
    ],
)
def test_teacher_reads(document: dict[str, Any], says: str) -> None:
    assert says in "\n".join(upgrade.lines({"course": "demo", "before": {"course": "old"}, **document}))


def test_reboot_is_refused_while_people_work() -> None:
    with pytest.raises(CoursehubError, match="demo: 3 people are at work, and a reboot ends their kernels"):
        debian.need_nobody(Session("3\n"), "192.0.2.1")  # type: ignore[arg-type]
    debian.need_nobody(Session("0\n"), "192.0.2.1")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ([], None),
        (["upgrade", "before"], True),
        (["upgrade", "left"], False),
        (["upgrade", "trying"], False),
        (["upgrade", "switching"], False),
        (["upgrade", "back"], False),
    ],
)
def test_half_an_upgrade_fails_the_check(said: list[str], found: bool | None) -> None:
    checks: list[Check] = halfway.check([said] if said else [])
    assert [one.ok for one in checks] == ([] if found is None else [found])
    assert all(one.ok or "'coursehub upgrade COURSE'" in one.detail for one in checks)


def test_failed_backup_comes_before_any_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade.backup, "_new_backup", lambda *_: {"problem": "backup to safe failed: full"})
    with pytest.raises(
        CoursehubError, match=r"nothing was changed; mend that, or .* 'coursehub upgrade demo --no-backup'"
    ):
        upgrade.backup.make_first(Session("yes\n"), "192.0.2.1", "upgrade")  # type: ignore[arg-type]


def test_answers_are_json_lines(tmp_path: Path) -> None:
    """What the server's program prints is what this side reads."""
    (tmp_path / "said").write_text(json.dumps({"kept": True}) + "\n")
    with talk(f"cat {tmp_path}/said") as it:
        assert it.hear(print)["kept"] is True
