"""The audit's figures of versions, from what a server says of itself; the table and the locks are the repository's."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from runner.audit.scanners import software
from runner.errors import CoursehubError
from runner.packages.minimums import load
from runner.project import Project
from tests.support.sandbox import REPO

pytestmark = pytest.mark.unit
GOOD = "release debian-13\npython hub jupyterhub-99.0\nnpm proxy no-such-package 1.0\n"


def measured(said: str, stale: dict[str, list[str]] | None = None) -> dict[str, Any]:
    """The findings by figure, if the server's two scripts say this."""

    def run(script: str) -> str:
        return json.dumps(stale or {}) if "coursehub-renew" in script else said

    found = software.measure(SimpleNamespace(project=Project(REPO), run=run))  # type: ignore[arg-type]
    assert [one.scanner for one in found] == ["versions"] * 4
    return {one.name: one.findings for one in found}


def test_good_server_has_no_findings() -> None:
    found = measured(GOOD)
    assert found["below the minimum on the server"] == found["services with replaced files in memory"] == ()
    assert len(found) == 4


def test_old_package_of_an_environment_is_found() -> None:
    row = next(one for one in load(REPO) if one.name == "jupyterhub")
    (one,) = measured(GOOD.replace("99.0", "5.0"))["below the minimum on the server"]
    assert one.id == "jupyterhub"
    assert f"jupyterhub 5.0 in the server's hub environment: below {row.minimum}" in one.detail


def test_old_package_of_debian_is_found() -> None:
    row = next(one for one in load(REPO) if one.kind == "debian" and one.name == "nginx" and "debian-13" in one.where)
    (one,) = measured(f"{GOOD}debian debian-13 nginx {row.minimum} 1.0-1 below\n")["below the minimum on the server"]
    assert one.id == "nginx" and "nginx 1.0-1 in debian-13" in one.detail


def test_release_that_the_table_does_not_know_is_a_finding() -> None:
    """Otherwise nothing of it would be below anything."""
    (one,) = measured(GOOD.replace("debian-13", "debian-99"))["below the minimum on the server"]
    assert (one.id, "no line for this release" in one.detail) == ("debian-99", True)


def test_services_with_replaced_files_are_sorted() -> None:
    found = measured(GOOD, {"ssh.service": ["/usr/lib/b", "/usr/lib/a"], "cron.service": ["/usr/lib/c"]})
    assert [(one.id, one.detail) for one in found["services with replaced files in memory"]] == [
        ("cron.service", "/usr/lib/c"),
        ("ssh.service", "/usr/lib/b, /usr/lib/a"),
    ]


def test_server_that_says_nothing_is_no_good_server() -> None:
    with pytest.raises(CoursehubError, match="did not say its versions"):
        measured("")
