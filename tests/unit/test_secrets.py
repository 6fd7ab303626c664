"""``coursehub secrets`` as typed."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from runner import course as courses
from runner import local
from runner.cloud import Cloud, Server
from runner.errors import CoursehubError
from runner.project import Project
from runner.saltssh.pillar import runtime_file
from runner.secrets import Secrets
from runner.secrets.vault import Vault
from runner.servers.access import Access, KeyPair
from runner.session import Session
from runner.session.notes import notes as notes_of
from runner.verbs import secrets as verb
from tests.support.secret_courses import (
    COURSE,
    PEOPLE,
    coursehub,  # noqa: F401
    project,  # noqa: F401
)

pytestmark = pytest.mark.unit


def test_set_show_rotate_remove(coursehub: Any, project: Project, tmp_path: Path) -> None:
    assert coursehub("secrets", "set", "phys", "google-client-secret", given="s3cret\n").code == 0
    assert coursehub("secrets", "set", "phys", "deploy-key", given="line 1\nline 2\n").code == 0
    assert coursehub("secrets", "show", "phys").out == "deploy-key\ngoogle-client-secret\n"
    assert coursehub("secrets", "show", "phys", "google-client-secret").out == "s3cret\n"
    document = json.loads(coursehub("secrets", "show", "phys", "deploy-key", "--json").out)
    assert document == {"course": "phys", "name": "deploy-key", "value": "line 1\nline 2\n"}
    text = project.secrets_file("phys").read_text()
    assert text.startswith("#!yaml|gpg\n")
    assert "s3cret" not in text
    assert set(yaml.safe_load(text)) == {"deploy-key", "google-client-secret"}

    colleague = Vault(project, tmp_path / "theirs")
    colleague.ensure_key()
    rotated = json.loads(coursehub("secrets", "rotate", "--json").out)
    assert rotated["written"] == ["pillar/secrets/phys.sls"]
    assert len(rotated["keys"]) == 2
    message = yaml.safe_load(project.secrets_file("phys").read_text())["google-client-secret"]
    assert colleague.decrypt(message, "x") == "s3cret"

    coursehub("secrets", "remove", "phys", "deploy-key")
    assert coursehub("secrets", "show", "phys").out == "google-client-secret\n"


def test_rotate_takes_class_lists_too(coursehub: Any, project: Project, tmp_path: Path) -> None:
    coursehub("roster", "add", "phys", "professors", "--yes", given="Marie Curie\ncurie@x.edu\n")
    colleague = Vault(project, tmp_path / "theirs")
    colleague.ensure_key()
    coursehub("secrets", "rotate")
    message = project.people_file("phys").read_text()
    assert "curie" in colleague.decrypt(message, "x")


@pytest.mark.parametrize(
    ("arguments", "given", "says"),
    [
        (("set", "phis", "a"), "x", "did you mean phys?"),
        (("set", "phys", "Client Secret"), "x", "is no name for a secret; use small letters"),
        (("set", "phys", "a"), "", "a secret is text of 1 to 65536 bytes"),
        (("set", "phys", "a"), "x" * 70_000, "a secret is text of 1 to 65536 bytes"),
        (("set", "phys"), "x", "Missing argument 'NAME'"),
        (("show", "phys", "a"), "", "pillar/secrets/phys.sls has no secret a; there are: none yet"),
        (("remove", "phys", "a"), "", "has no secret a"),
        (("rotate", "phys"), "", "say what to make new: proxy-token"),
        (("rotate", "chem", "everything"), "", "no secret 'everything' to make new; there are: proxy-token"),
    ],
)
def test_a_wrong_command_is_one_line(coursehub: Any, arguments: tuple[str, ...], given: str, says: str) -> None:
    ended = coursehub("secrets", *arguments, given=given)
    assert ended.code == 2
    assert says in ended.line
    assert ended.out == ""


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_secret_that_is_no_text_is_one_line(coursehub: Any, project: Project, errors: str) -> None:
    """Python reads a pipe either way, depending on the locale."""
    piped = io.TextIOWrapper(io.BytesIO(b"PK\xff\xfe"), encoding="utf-8", errors=errors)
    ended = coursehub("secrets", "set", "phys", "a", given=piped)
    assert ended.code == 2
    assert "a: what is piped in is no text (UTF-8); pipe in text" in ended.line
    assert not project.secrets_file("phys").exists()


def test_what_is_not_encrypted_is_refused(coursehub: Any, project: Project) -> None:
    project.secrets.mkdir(parents=True)
    project.secrets_file("phys").write_text("#!yaml|gpg\ntoken: s3cret\n")
    for arguments in (("show", "phys"), ("set", "phys", "other")):
        ended = coursehub("secrets", *arguments, given="x")
        assert ended.code == 2
        assert "holds something that is not encrypted" in ended.line
        assert "s3cret" not in ended.err


def test_a_secret_from_a_provider_is_not_made_here(coursehub: Any) -> None:
    coursehub("secrets", "set", "chem", "google-client-secret", given="x\n")
    ended = coursehub("secrets", "rotate", "chem", "google-client-secret")
    assert ended.code == 2
    assert "then 'coursehub secrets set chem google-client-secret'" in ended.line


def test_a_new_token_brings_no_sign_in_that_an_apply_refuses(project: Project) -> None:
    """No server is contacted: the refusal comes first, and no pillar is written."""
    project.course_file("chem").write_text(
        COURSE
        + PEOPLE.replace("M C", "M C, email: m@x.edu")
        + "  signin: {kind: google, client_id: x.apps.googleusercontent.com}\n"
    )
    session = Session(project, "chem", courses.load(project, "chem"), Cloud("none", "http://127.0.0.1:1", ""))
    with pytest.raises(CoursehubError, match="needs the client's secret") as caught:
        verb._new_on_server(session, "127.0.0.1", verb._MADE["proxy-token"])
    assert caught.value.exit_code == 2
    assert not runtime_file(project, "chem").exists()


@pytest.mark.parametrize("what", ["proxy-token", "ssh-key"])
def test_nothing_is_started_for_a_course_without_a_server(coursehub: Any, project: Project, what: str) -> None:
    ended = coursehub("secrets", "rotate", "chem", what)
    assert ended.code == 1
    assert "chem has no server; run 'coursehub up chem'" in ended.line
    assert local.find(project.state) is None


class Killed(BaseException):
    """The computer is turned off."""


@dataclass
class Door:
    """A server's authorized_keys and the cloud's keys; the process dies before a chosen step."""

    project: Project
    keys: Path
    steps_left: int = 1_000
    at_the_cloud: tuple[str, ...] = ()

    @property
    def access(self) -> Access:
        return Access(self.project, "chem")

    def step(self) -> None:
        self.steps_left -= 1
        if self.steps_left < 0:
            raise Killed

    def opens(self, key_file: Path) -> bool:
        """Whether OpenSSH gets in with this key: it offers the .pub beside it, then signs with the key itself."""
        public = key_file.with_name(f"{key_file.name}.pub")
        real = KeyPair.of(key_file.read_text(), "").public.split()[1]
        offered = public.read_text().split()[1] if public.exists() else real
        return offered == real and offered in self.keys.read_text()

    def run(self, _: str, script: str) -> str:
        self.step()
        assert self.opens(self.access.key_file), "locked out"
        # Decided before the kill, which may happen before or after the server's change.
        script = script.replace("/root/.ssh/authorized_keys", shlex.quote(str(self.keys)))
        subprocess.run(["/bin/sh", "-s"], input=script, text=True, check=True)
        self.step()
        return ""

    def rotate(self) -> None:
        session = Session(self.project, "chem", courses.load(self.project, "chem"), self.cloud)
        verb._new_ssh_key(session, "192.0.2.7", lambda _: None)

    @property
    def cloud(self) -> Any:
        return SimpleNamespace(remove_keys=self.remove_keys, ensure_key=self.ensure_key)

    def remove_keys(self, _: str) -> None:
        self.step()
        self.at_the_cloud = ()

    def ensure_key(self, _: str, public: str) -> None:
        self.step()
        self.at_the_cloud = (public,)


@pytest.fixture
def door(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Door:
    made = Door(project, tmp_path / "authorized_keys")
    made.keys.write_text(f"ssh-ed25519 AAAATeachersOwn teacher\n{made.access.client_key().public}\n")
    for name in ("replace", "unlink"):
        real = getattr(Path, name)

        def counted(path: Path, *arguments: Any, real: Any = real, **options: Any) -> Any:
            made.step()
            return real(path, *arguments, **options)

        monkeypatch.setattr(Path, name, counted)
    monkeypatch.setattr(Access, "run", lambda _, ip, script: made.run(ip, script))

    def try_key(access: Access, ip: str, key_file: Path) -> None:
        del access, ip
        made.step()
        assert made.opens(key_file)

    monkeypatch.setattr(verb, "_try_key", try_key)
    return made


def test_a_new_ssh_key_may_be_killed_before_each_of_its_steps(door: Door) -> None:
    """The key works at all times; the next run leaves one key everywhere, and the teacher's own stays."""
    steps = 0
    while True:
        before = door.access.client_key()
        door.steps_left = steps
        try:
            door.rotate()
        except Killed:
            door.steps_left = 1_000
            assert door.opens(door.access.key_file), f"locked out by a kill before step {steps}"
            door.rotate()
            killed = True
        else:
            killed = False
        key = door.access.client_key()
        lines = door.keys.read_text().splitlines()
        assert [line.split()[1] for line in lines] == ["AAAATeachersOwn", key.public.split()[1]], steps
        assert door.at_the_cloud == (key.public,)
        kept = {path.name for path in door.access.directory.iterdir()}
        assert {name for name in kept if not name.startswith(".")} == {"client_key", "client_key.pub"}
        assert not door.access.changes_key()
        if not killed:
            assert key != before
            break
        steps += 1
    assert steps >= 12


def test_killed_key_change_is_reported(door: Door) -> None:
    door.steps_left = 6
    with pytest.raises(Killed):
        door.rotate()
    session = Session(door.project, "chem", courses.load(door.project, "chem"), door.cloud)
    server = Server(7, "chem", "192.0.2.7", "s-4vcpu-8gb", "debian-13-x64", "sfo3", "active")
    (note,) = notes_of(session, server)
    assert "'coursehub secrets rotate chem ssh-key' ends it" in note


def test_one_at_a_time(coursehub: Any, project: Project) -> None:
    from runner.servers.claim import claim

    with claim(project, "phys", "apply"):
        ended = coursehub("secrets", "set", "phys", "a", given="x")
        listed = coursehub("roster", "add", "phys", "students", "--yes", given="A B\na@x.edu\n")
    for one in (ended, listed):
        assert one.code == 1
        assert "runs 'apply' on it" in one.line
    assert Secrets(project, "phys").names() == []
    assert not project.people_file("phys").exists()
