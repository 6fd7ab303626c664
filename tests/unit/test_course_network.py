"""The course file's network: allowed values, and the messages for others."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from runner.course.network import Network

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("place", ["index.example.org", "*.example.edu", "192.0.2.0/24", "192.0.2.7", "2001:db8::/32"])
def test_network_list_takes_names_and_networks(place: str) -> None:
    assert Network(only=[place]).only


@pytest.mark.parametrize(
    "place",
    [
        "https://index.example.org",
        "index.example.org/simple",
        "PyPI.org",
        "*",
        "*.",
        "edu",
        "*.*.org",
        "0.0.0.0/0",
        "::/0",
        "10.0.0.1/8",
        "a b.org",
        ".org",
        "index.example.org\n",
        "(a|b).org",
    ],
)
def test_network_list_refuses_what_is_neither(place: str) -> None:
    with pytest.raises(ValidationError, match=r"a name such as index\.example\.org"):
        Network(only=[place])


def test_network_list_may_be_empty_and_may_be_missing() -> None:
    assert Network(only=[]).only == []
    assert Network().only is None


def test_network_of_the_campus_is_no_name_and_not_the_world() -> None:
    assert Network(campus=["10.20.0.0/16", "fd00:20::/32"]).campus == ["10.20.0.0/16", "fd00:20::/32"]
    for wrong in ("mirror.example.edu", "0.0.0.0/0", "10.20.0.1/16"):
        with pytest.raises(ValidationError, match="a network"):
            Network(campus=[wrong])
