"""The local cloud's name server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from dnslib import QTYPE, RCODE, DNSRecord

from runner.local import dns
from runner.local.store import Domain, Record

pytestmark = pytest.mark.unit
ZONES = [
    Domain(
        name="coursehub.test",
        records=[
            Record(id=1, type="A", name="@", data="10.0.0.1"),
            Record(id=2, type="A", name="Demo", data="10.0.0.2"),
            Record(id=3, type="CNAME", name="www.demo", data="demo.coursehub.test."),
            Record(id=4, type="A", name="*.many", data="10.0.0.4"),
            Record(id=5, type="A", name="one.many", data="10.0.0.5"),
            Record(id=6, type="TXT", name="demo", data="x" * 300),
            Record(id=7, type="MX", name="@", data="mail", priority=10),
            Record(id=8, type="CAA", name="@", data="pebble", flags=0, tag="issue"),
            Record(id=9, type="CNAME", name="loop", data="loop.coursehub.test"),
            Record(id=10, type="SRV", name="_s._tcp", data="demo", priority=1, weight=2, port=3),
            Record(id=11, type="AAAA", name="six", data="fd00::1"),
        ],
    ),
    Domain(name="sub.coursehub.test", records=[Record(id=20, type="A", name="x", data="10.0.0.20")]),
]


def ask(name: str, kind: str = "A") -> DNSRecord:
    reply = dns.answer(DNSRecord.question(name, kind), ZONES)
    assert reply is not None
    # As transmitted, not as it was built.
    return DNSRecord.parse(reply.pack())


def data(reply: DNSRecord) -> list[str]:
    return [str(rr.rdata) for rr in reply.rr]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("coursehub.test", "A", ["10.0.0.1"]),
        ("DEMO.coursehub.test", "A", ["10.0.0.2"]),
        ("www.demo.coursehub.test", "A", ["demo.coursehub.test.", "10.0.0.2"]),
        ("www.demo.coursehub.test", "CNAME", ["demo.coursehub.test."]),
        ("any.many.coursehub.test", "A", ["10.0.0.4"]),
        ("one.many.coursehub.test", "A", ["10.0.0.5"]),
        ("x.sub.coursehub.test", "A", ["10.0.0.20"]),
        ("six.coursehub.test", "AAAA", ["fd00::1"]),
        ("coursehub.test", "CAA", ['0 issue "pebble"']),
    ],
)
def test_names_of_our_zones(name: str, kind: str, expected: list[str]) -> None:
    reply = ask(name, kind)
    assert data(reply) == expected
    assert reply.header.rcode == RCODE.NOERROR
    assert reply.header.aa


def test_other_kinds_of_records() -> None:
    assert data(ask("coursehub.test", "MX")) == ["10 mail."]
    assert data(ask("_s._tcp.coursehub.test", "SRV")) == ["1 2 3 demo."]
    assert "".join(part.decode() for part in ask("demo.coursehub.test", "TXT").rr[0].rdata.data) == "x" * 300
    assert {QTYPE[rr.rtype] for rr in ask("coursehub.test", "ANY").rr} == {"A", "MX", "CAA"}


@pytest.mark.parametrize(
    ("name", "kind", "rcode"),
    [
        ("nobody.coursehub.test", "A", RCODE.NXDOMAIN),
        ("demo.coursehub.test", "AAAA", RCODE.NOERROR),
        ("many.coursehub.test", "A", RCODE.NOERROR),
        ("a.demo.coursehub.test", "A", RCODE.NXDOMAIN),
        ("sub.coursehub.test", "A", RCODE.NOERROR),
    ],
)
def test_no_such_name_is_not_no_such_record(name: str, kind: str, rcode: int) -> None:
    reply = ask(name, kind)
    assert reply.header.rcode == rcode
    assert reply.rr == []
    assert [QTYPE[rr.rtype] for rr in reply.auth] == ["SOA"]


def test_an_alias_of_itself_ends() -> None:
    assert len(data(ask("loop.coursehub.test"))) == dns.MAX_ALIASES


def test_other_names_are_not_ours() -> None:
    assert dns.answer(DNSRecord.question("notcoursehub.test"), ZONES) is None


@pytest.fixture
def two_name_servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server that forwards everything, through the host's resolver file, to one that knows our zones."""
    upstream = dns.serve("127.0.0.1", 0, lambda: ZONES)
    port = upstream[0].server.server_address[1]
    front = dns.serve("127.0.0.1", 0, lambda: [])
    true_send = DNSRecord.send
    monkeypatch.setattr(dns, "upstream_resolvers", lambda: ["127.0.0.1"])
    monkeypatch.setattr(
        DNSRecord,
        "send",
        lambda self, server, given, **kwargs: true_send(self, server, port if given == 53 else given, **kwargs),
    )
    yield front[0].server.server_address[1]
    # Each takes half a second to notice.
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda server: server.stop(), (*upstream, *front)))
    for server in (*upstream, *front):
        server.server.server_close()


def test_other_names_are_asked_upstream(two_name_servers: int) -> None:
    reply = DNSRecord.parse(DNSRecord.question("demo.coursehub.test").send("127.0.0.1", two_name_servers, timeout=5))
    assert data(reply) == ["10.0.0.2"]


def test_nobody_upstream_is_servfail(two_name_servers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns, "upstream_resolvers", lambda: [])
    reply = DNSRecord.parse(DNSRecord.question("else.test").send("127.0.0.1", two_name_servers, timeout=5))
    assert reply.header.rcode == RCODE.SERVFAIL
