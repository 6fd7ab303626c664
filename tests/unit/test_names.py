"""No course takes another course's name, in files or in DNS."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from runner.cloud import Zone
from runner.errors import CoursehubError
from runner.session import names

pytestmark = pytest.mark.unit

ZONE = Zone("example.edu")


def session(
    *, records: dict[str, list[str]], holders: dict[str, str], known: tuple[str, ...] = (), removed: Any = None
) -> Any:
    """A course phys with ``records`` in DNS; ``holders`` are the courses by address."""
    cloud = SimpleNamespace(
        targets=lambda _, record: records.get(record.hostname, []),
        course_at=holders.get,
        zones=lambda: [ZONE],
        remove_record=lambda _, record: removed.append((record.hostname, record.data)),
        remove_caa=lambda *_: None,
    )
    names = ("phys.example.edu", "www.phys.example.edu", "*.phys.example.edu", "_acme-challenge.phys.example.edu")
    course = SimpleNamespace(dns_names=names)
    access = SimpleNamespace(names=lambda: list(known))
    return SimpleNamespace(
        course_id="phys", course=course, cloud=cloud, access=access, at=lambda *_: "pillar/courses/phys.sls:4"
    )


@pytest.mark.parametrize("name", ["phys.example.edu", "www.phys.example.edu", "*.phys.example.edu"])
def test_a_name_that_leads_to_another_course_is_refused(name: str) -> None:
    for ip in (None, "192.0.2.9"):
        with pytest.raises(CoursehubError) as caught:
            names.need_free(session(records={name: ["192.0.2.1"]}, holders={"192.0.2.1": "chem"}), ZONE, ip)
        assert str(caught.value).startswith(
            f"pillar/courses/phys.sls:4: {name} leads to the server of chem (192.0.2.1), whose students use it; "
        )
        assert "coursehub down chem" in str(caught.value)


def test_a_name_of_our_own_or_of_nobody_is_free() -> None:
    there = {"phys.example.edu": ["192.0.2.1"]}
    ours = session(records=there, holders={"192.0.2.1": "phys"}, known=("phys.example.edu",))
    assert names.need_free(ours, ZONE, "192.0.2.9") == []
    foreign = session(records={"phys.example.edu": ["192.0.2.1"]}, holders={})
    assert names.need_free(foreign, ZONE, "192.0.2.9") == [
        "phys.example.edu led to 192.0.2.1 until now; it leads to 192.0.2.9 from now on"
    ]
    assert names.need_free(foreign, ZONE) == ["phys.example.edu leads to 192.0.2.1 now and will lead to the new server"]
    assert names.need_free(foreign, None) == []


def test_foreign_wildcard_or_delegation_is_reported() -> None:
    """The records of ``isolation: subdomains`` are checked too; our own delegation needs no note."""
    there = {
        "*.phys.example.edu": ["192.0.2.1"],
        "_acme-challenge.phys.example.edu": ["ns.example.org", "phys.example.edu"],
    }
    assert names.need_free(session(records=there, holders={}), ZONE, "192.0.2.9") == [
        "*.phys.example.edu led to 192.0.2.1 until now; it leads to 192.0.2.9 from now on",
        "_acme-challenge.phys.example.edu led to ns.example.org until now; it leads to phys.example.edu from now on",
    ]


def test_down_leaves_a_record_that_leads_to_another_course() -> None:
    """An address that was once ours can now be another course's."""
    removed: list[tuple[str, str]] = []
    one = session(
        records={}, holders={"192.0.2.1": "chem", "192.0.2.2": "phys"}, known=("phys.example.edu",), removed=removed
    )
    names.remove_records(one, ["192.0.2.1", "192.0.2.2", "192.0.2.3"])
    assert removed == [("phys.example.edu", "192.0.2.2"), ("phys.example.edu", "192.0.2.3")]
