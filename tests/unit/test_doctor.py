"""``doctor``: names what is missing and what to do, and changes nothing."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dnslib import NS, QTYPE, RR, DNSRecord
from dnslib.server import BaseResolver, DNSLogger, DNSServer

from runner.cloud import health
from runner.cloud.calls import SCOPES
from runner.project import Project
from runner.verbs import doctor
from tests.support.local_api import TOKEN, Api

pytestmark = pytest.mark.unit


class Zones(BaseResolver):
    """A resolver that knows the name servers of the course's zone."""

    servers: tuple[str, ...] = ("ns1.digitalocean.com", "ns2.digitalocean.com")

    def resolve(self, request: DNSRecord, _handler: Any) -> DNSRecord:
        reply = request.reply()
        for server in self.servers:
            reply.add_answer(RR(request.q.qname, QTYPE.NS, rdata=NS(server)))
        return reply


@pytest.fixture
def zones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Zones]:
    resolver = Zones()
    server = DNSServer(resolver, address="127.0.0.1", port=0, logger=DNSLogger(logf=lambda _line: None))
    server.start_thread()
    (tmp_path / "resolv.conf").write_text("# of a test\nnameserver 127.0.0.1\n")
    monkeypatch.setattr(doctor, "_RESOLV", tmp_path / "resolv.conf")
    monkeypatch.setattr(doctor, "_DNS_PORT", server.server.server_address[1])
    try:
        yield resolver
    finally:
        server.stop()
        server.server.server_close()


def looked(document: dict[str, Any]) -> dict[str, tuple[bool, str]]:
    return {one["name"]: (one["ok"], one["detail"]) for one in document["checks"]}


def fault(api: Api, **entry: Any) -> None:
    (api.state / "faults.json").write_text(json.dumps([entry]))


@pytest.mark.usefixtures("zones")
def test_doctor_all_ready(coursehub: Any, api: Api) -> None:
    with api.cloud.reading() as store:
        before = store.account.model_dump_json()
    ended = coursehub("doctor", "phys", "--json")
    assert ended.code == 0, ended.err
    found = looked(ended.document)
    assert set(found) == {
        *("tools", "disk", "proxy settings", "token", "scopes", "quota", "clock", "keys", "order", "address"),
    }
    assert found["order"] == (True, "s-4vcpu-8gb with debian-13-x64 in sfo3, 48 dollars a month")
    with api.cloud.reading() as store:
        assert store.account.model_dump_json() == before


@pytest.mark.usefixtures("zones")
@pytest.mark.parametrize("scope", [scope for scope, _, _ in health._PROBES])
def test_doctor_names_the_scope_that_is_missing(coursehub: Any, api: Api, scope: str) -> None:
    _, method, path = next(probe for probe in health._PROBES if probe[0] == scope)
    said = {"id": "forbidden", "message": "You are not authorized to perform this operation"}
    fault(api, path_regex=f"^/v2/{path.partition('?')[0]}$", method=method, status=403, body=said)
    ended = coursehub("doctor", "phys", "--json")
    assert ended.code == 1
    assert looked(ended.document)["scopes"] == (False, f"the token lacks {scope}; make one with these scopes too")


@pytest.mark.usefixtures("zones")
def test_doctor_names_a_full_account(coursehub: Any, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    account = api.ok("GET", "account")["account"]
    fault(api, path_regex="^/v2/account$", status=200, body={"account": {**account, "droplet_limit": 0}})
    ended = coursehub("doctor", "phys", "--json")
    assert looked(ended.document)["quota"][0] is False
    fault(api, path_regex="^/v2/account$", status=200, body={"account": {**account, "status": "locked"}})
    assert "the account is locked" in looked(coursehub("doctor", "phys", "--json").document)["token"][1]
    monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", "wrong")
    ended = coursehub("doctor", "phys", "--json")
    assert "refused the token (401)" in looked(ended.document)["token"][1]
    assert "wrong" not in ended.out + ended.err


@pytest.mark.usefixtures("zones")
def test_doctor_names_a_wrong_clock(coursehub: Any, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    del api
    monkeypatch.setattr(health, "time", SimpleNamespace(time=lambda: time.time() + 3 * 3600))
    ended = coursehub("doctor", "phys", "--json")
    ok, said = looked(ended.document)["clock"]
    assert not ok
    assert "clock is 180 minutes ahead" in said


@pytest.mark.parametrize(
    ("servers", "says"),
    [((), "nobody serves coursehub.test yet"), (("dns.example.edu",), "is served by dns.example.edu, not by")],
)
def test_doctor_names_who_serves_the_domain(
    coursehub: Any, api: Api, zones: Zones, servers: tuple[str, ...], says: str
) -> None:
    del api
    zones.servers = servers
    ended = coursehub("doctor", "phys", "--json")
    ok, said = looked(ended.document)["address"]
    assert not ok
    assert says in said
    assert "ns1.digitalocean.com" in said


@pytest.mark.usefixtures("zones")
def test_doctor_names_the_line_of_a_wrong_size(coursehub: Any, api: Api, project: Project) -> None:
    del api
    path = project.course_file("phys")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("s-4vcpu-8gb", "s-4vcpu-9gb"), encoding="utf-8")
    ok, said = looked(coursehub("doctor", "phys", "--json").document)["order"]
    assert not ok
    assert said.startswith("pillar/courses/phys.sls:")
    assert "did you mean s-4vcpu-8gb?" in said


def test_doctor_asks_for_the_scopes_that_errors_name() -> None:
    for scope, _, _ in health._PROBES:
        kind, _, right = scope.partition(":")
        assert kind in SCOPES
        assert right in SCOPES


def test_doctor_asks_for_the_scopes_that_readme_names() -> None:
    """No more and no fewer: a custom token is made after that sentence."""
    readme = " ".join((Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").split())
    sentence = readme.partition("these custom scopes: ")[2].partition(".")[0]
    named = set()
    for part in sentence.split("; "):
        kinds, rights = part.split(": ")
        named |= {f"{kind}:{right}" for kind in re.split(", | and ", kinds) for right in rights.split(", ")}
    assert named == {scope for scope, _, _ in health._PROBES}


def test_doctor_without_a_course(coursehub: Any, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    del api
    assert "scopes" in looked(coursehub("doctor", "--json").document)
    monkeypatch.delenv("DIGITALOCEAN_ACCESS_TOKEN")
    assert "scopes" not in looked(coursehub("doctor", "--json").document)
    monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", f"{TOKEN} x")
    assert "DIGITALOCEAN_ACCESS_TOKEN" in looked(coursehub("doctor", "--json").document)["token"][1]


def test_doctor_names_a_missing_tool(coursehub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_TOOLS", {"no-such-program": "its-package"})
    ended = coursehub("doctor", "--json")
    assert ended.code == 1
    assert "sudo apt-get install its-package" in looked(ended.document)["tools"][1]


def test_doctor_names_a_full_disk_and_the_proxies(
    coursehub: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy's address may contain a password, so only the variables' names are shown."""
    monkeypatch.setenv("https_proxy", "http://me:s3cret@proxy.test:3128")
    few = SimpleNamespace(free=7 * 1024**2)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _path: few)
    ended = coursehub("doctor", "--json")
    found = looked(ended.document)
    assert ended.code == 1
    assert found["disk"] == (False, f"{project.root} has 7 MB free and needs 1024; make room")
    assert found["proxy settings"][1].startswith("https_proxy: ")
    assert "s3cret" not in ended.out + ended.err
