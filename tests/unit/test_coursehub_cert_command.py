"""coursehub-cert as its timer, certbot and the teacher's computer call it: exit codes and what is printed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.cert import (
    cert,  # noqa: F401
    certbot,  # noqa: F401
    config,  # noqa: F401
    issue,
)
from tests.support.programs import Programs

pytestmark = pytest.mark.unit
ELSEWHERE = "DNS points it at 198.51.100.1, not here"


@pytest.fixture
def command(cert: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """All names are in DNS, and port 80 answers."""
    monkeypatch.setattr(cert.main, "LOCK", str(tmp_path / "lock"))
    monkeypatch.setattr(cert.running, "look", lambda config_, _: cert.names.Dns(config_.names, {}))
    monkeypatch.setattr(cert.authority, "answers_here", lambda *_: "")
    return cert


def change(cert: SimpleNamespace, **changes: Any) -> None:
    path = cert.places.CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def answer(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    said = capsys.readouterr()
    return json.loads(said.out), said.err


def orders(cert: SimpleNamespace, config: Any, certbot: Path, tmp_path: Path) -> None:
    """A certbot that issues the certificate for all names: it copies one that was made here."""
    issue(cert, config, config.names)
    cert.places.LETSENCRYPT.rename(tmp_path / "made")
    certbot.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncp -r {tmp_path}/made {cert.places.LETSENCRYPT}\n')
    certbot.chmod(0o755)


def test_certificate_is_ordered_once(
    command: SimpleNamespace, config: Any, certbot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orders(command, config, certbot, tmp_path)
    assert command.main.main(["run"]) == 0
    first, warnings = answer(capsys)
    assert (first["changed"], first["wanted"], first["ok"], warnings) == (True, True, True, "")
    assert first["covered"] == list(config.names)
    assert Path(config.live).readlink() == config.lineage
    assert (tmp_path / "reloaded").exists()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
    (tmp_path / "asked").unlink()
    assert command.main.main(["run", "--timer"]) == 0
    second, _ = answer(capsys)
    assert (second["changed"], second["wanted"], second["ok"]) == (False, False, True)
    assert not (tmp_path / "asked").exists()


def test_ca_that_refuses_is_an_error_and_waits(
    command: SimpleNamespace, config: Any, certbot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The timer does not ask at once again: the CA allows five failures an hour."""
    del config
    certbot.write_text(f"#!/bin/sh\necho once >> {tmp_path}/asked\necho 'Detail: it is down' >&2; exit 1\n")
    certbot.chmod(0o755)
    assert command.main.main(["run"]) == 1
    found, warnings = answer(capsys)
    assert (found["ok"], found["wanted"]) == (False, True)
    assert any(line.startswith("WARNING ") and "it is down" in line for line in warnings.splitlines())
    assert command.main.main(["run", "--timer"]) == 1
    assert "the CA was not asked" in capsys.readouterr().err
    assert (tmp_path / "asked").read_text() == "once\n"


def test_names_that_lead_elsewhere_are_no_error(
    command: SimpleNamespace, config: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing can be done on the server: the teacher has to change DNS."""
    elsewhere = command.names.Dns((), dict.fromkeys(config.names, ELSEWHERE))
    monkeypatch.setattr(command.running, "look", lambda *_: elsewhere)
    assert command.main.main(["run"]) == 0
    found, warnings = answer(capsys)
    assert (found["ok"], found["wanted"]) == (False, False)
    assert found["missing"] == dict.fromkeys(config.names, ELSEWHERE)
    assert ELSEWHERE in warnings


@pytest.mark.usefixtures("config")
def test_plan_says_what_would_be_ordered(command: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main.main(["plan"]) == 1
    found, _ = answer(capsys)
    assert (found["wanted"], found["changed"], found["reason"]) == (True, False, "no certificate yet")
    assert not command.places.STATE.exists()


@pytest.mark.usefixtures("config")
def test_server_without_names_needs_nothing(command: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    change(command, names=[])
    assert command.main.main(["run"]) == 0
    found, _ = answer(capsys)
    assert (found["ok"], found["wanted"], found["reason"]) == (True, False, "no names")


def test_renewed_certificate_is_served_at_once(
    command: SimpleNamespace, config: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """certbot calls this after a renewal. A server that does not reload is told to certbot."""
    issue(command, config, config.names)
    assert command.main.main(["deployed"]) == 0
    assert (tmp_path / "reloaded").exists()
    assert Path(config.live).readlink() == config.lineage
    change(command, reload=["sh", "-c", "echo 'nginx: bad file' >&2; exit 1"])
    assert command.main.main(["deployed"]) == 1
    assert "nginx: bad file" in capsys.readouterr().err


def test_certificate_is_given_to_the_next_server(
    command: SimpleNamespace, config: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main.main(["give"]) == 0
    assert capsys.readouterr().out == ""
    number = "0" * 32
    directory = "https://ca.example.org/dir"
    issue(command, config, config.names)
    with (command.places.LETSENCRYPT / "renewal" / f"{config.names[0]}.conf").open("a") as renewal:
        renewal.write(f"account = {number}\n")
    account = command.carrying._account_directory(directory) / number
    account.mkdir(parents=True)
    for name in command.carrying.ACCOUNT_FILES:
        (account / name).write_text(name)
    assert command.main.main(["give"]) == 0
    given = json.loads(capsys.readouterr().out)
    assert given["pems"]["fullchain"] == (config.lineage / "fullchain.pem").read_text()
    assert command.main.main(["give", "--known", given["fingerprint"]]) == 0
    assert capsys.readouterr().out == ""


def test_own_addresses_are_the_courses_or_the_interfaces(
    cert: SimpleNamespace, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one spelling, because those of DNS are compared with them."""
    shown = [{"addr_info": [{"local": "192.0.2.7"}, {"broadcast": "192.0.2.255"}]}, {}, {"addr_info": []}]
    programs = Programs.install(tmp_path / "programs", monkeypatch)
    programs.add("ip", f"echo '{json.dumps(shown)}'")
    long = dataclasses.replace(config, addresses=("2001:0db8:0:0::10", "192.0.2.10"))
    assert cert.names.own_addresses(long) == {"2001:db8::10", "192.0.2.10"}
    assert programs.calls("ip") == []
    assert cert.names.own_addresses(dataclasses.replace(config, addresses=())) == {"192.0.2.7"}
    assert "global" in programs.calls("ip")[0]
