"""A student misuses the page of earlier versions, or what the hub knows of when people work."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest

from runner.hub.client import HubFailure
from tests.attacks.test_options import ask
from tests.support.attackers import Person
from tests.support.hub import Hub

NAME = "attack-<img src=x onerror=alert(1)>.txt"


@pytest.fixture
def version(mallory: Person, hub: Hub) -> Iterator[str]:
    """An earlier version of a folder of Mallory's, which has a file with markup in its name, and a link out of it."""
    if hub.run("mountpoint -q /srv/disk && echo yes || true").strip() != "yes":
        pytest.skip("homes lie on this server's own disk")
    mallory.serve()
    mallory.shell(f"mkdir -p attack && echo '<script>' > 'attack/{NAME}' && ln -sfn / attack/link")
    hub.run("systemctl start coursehub-disk-history.service")
    yield hub.run(f"ls /srv/disk/history/home/{mallory.account} | tail -n 1").strip()
    mallory.shell("rm -rf attack")


def test_a_path_out_of_ones_earlier_versions(mallory: Person, alice: Person, version: str) -> None:
    """Tries: to read another's versions, and files of root's, on the page of one's own: dots, a link, an odd version.

    Stopped by: the page takes no dots and no unknown version; all else is the kernel's, with one's own rights.
    """
    client = mallory.serve()
    for path, at in (
        (f"../../{alice.account}/.profile", version),
        ("attack/.profile", f"../../{alice.account}"),
        (".profile", ".."),
        (f"attack/link/srv/disk/history/home/{alice.account}/.profile", version),
        ("attack/link/etc/shadow", version),
    ):
        page = client.api("GET", "/class/versions", params={"path": path, "at": at, "do": "open"}).text
        assert "<pre>" not in page, (path, page)
        assert "There is no such file" in page or "not in that version" in page or "ermission denied" in page, page


def test_markup_in_a_name_of_an_earlier_version(mallory: Person, version: str) -> None:
    """Tries: to run a script on the page of earlier versions, by the name and content of a file.

    Stopped by: the page escapes each word.
    """
    client = mallory.serve()
    listed = client.api("GET", "/class/versions", params={"path": "attack"}).text
    opened = client.api("GET", "/class/versions", params={"path": f"attack/{NAME}", "at": version, "do": "open"}).text
    assert "attack-&lt;img" in listed and "<img" not in listed
    assert "&lt;script&gt;" in opened and "<script>" not in opened


def test_a_version_is_put_back_by_another_page(mallory: Person, version: str) -> None:
    """Tries: to put back a version with a form of another site, which knows no token of the page.

    Stopped by: Jupyter's XSRF token.
    """
    client = mallory.serve()
    body = {"at": version}
    with pytest.raises(HubFailure, match="403"):
        client.api(
            "POST", "/class/versions", params={"path": ".profile", "_xsrf": "no"}, data=body, cookies={"_xsrf": ""}
        )
    assert "from" not in mallory.shell("ls -A | grep profile").text


def test_when_others_worked_is_forged(mallory: Person, alice: Person) -> None:
    """Tries: to let another's server look unused or used, and one's own used for days.

    Stopped by: JupyterHub's scopes; and a time in the future is at most an hour away.
    """
    alice.serve()
    later = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=9)).isoformat()
    for whose, when, status in (
        (alice.account, "2026-01-01T00:00:00Z", (403, 404)),
        (alice.account, later, (403, 404)),
        (mallory.account, later, (400,)),
    ):
        body = f'{{"servers": {{"": {{"last_activity": "{when}"}}}}}}'
        answer = ask(mallory.client, "POST", f"/hub/api/users/{whose}/activity", body)
        assert answer.status_code in status, (whose, when, answer.status_code)
