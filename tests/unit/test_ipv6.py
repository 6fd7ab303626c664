"""A server's IPv6 address: ordered, in DNS under every name of the course, and gone from there with the server."""

from __future__ import annotations

from typing import Any

import pytest

from runner.cloud import Cloud, Zone, record_of
from runner.project import Project
from runner.servers.access import Access
from tests.support.local_api import TOKEN, Api

pytestmark = pytest.mark.unit
RECORDS = "domains/coursehub.test/records"


def records(api: Api, kind: str) -> dict[str, str]:
    found = api.ok("GET", f"{RECORDS}?type={kind}&per_page=200")["domain_records"]
    return {one["name"]: one["data"] for one in found}


def test_up_makes_records_of_both_families(coursehub: Any, api: Api, project: Project) -> None:
    coursehub("up", "phys", "--yes")
    server = Access(project, "phys").server()
    assert server is not None
    assert ":" in str(server.ip6)
    four, six = records(api, "A"), records(api, "AAAA")
    assert set(four.values()) == {server.ip}
    assert six == dict.fromkeys(four, server.ip6)
    assert coursehub("down", "phys", "--yes").code == 0
    assert records(api, "A") == records(api, "AAAA") == {}


def test_other_peoples_records_stay(coursehub: Any, api: Api) -> None:
    coursehub("up", "phys", "--yes")
    api.ok("POST", RECORDS, {"type": "AAAA", "name": "shop", "data": "2001:db8::5"})
    coursehub("down", "phys", "--yes")
    assert records(api, "AAAA") == {"shop": "2001:db8::5"}


def test_an_address_is_known_however_it_is_written(api: Api, project: Project) -> None:

    del project
    cloud, zone = Cloud("DigitalOcean", f"{api.url}/v2/", TOKEN), Zone("coursehub.test")
    api.ok("POST", RECORDS, {"type": "AAAA", "name": "phys", "data": "2001:0DB8:0:0::1"})
    assert cloud.ensure_record(zone, record_of("phys.coursehub.test", "2001:db8::1")) is False
    assert cloud.ensure_record(zone, record_of("phys.coursehub.test", "2001:db8::2")) is True
    cloud.remove_record(zone, record_of("phys.coursehub.test", "2001:db8:0::2"))
    assert records(api, "AAAA") == {}
