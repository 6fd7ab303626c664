"""The end of a term on a real hub: archive, links for students, the next term's file, and a server that goes."""

from __future__ import annotations

import csv
import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from runner.servers.access import Access
from tests.support import odd_files
from tests.support.hub import Hub
from tests.support.sandbox import Sandbox

pytestmark = [pytest.mark.machine, pytest.mark.timeout(1200)]
STUDENT, OTHER = "abello", "bcarter"


@pytest.fixture(scope="module")
def hub(small_course: Callable[[str], Hub]) -> Hub:
    """A hub with odd files in one home, and a secret of another student in a file that the first one links to."""
    hub = small_course("term")
    odd_files.make(hub, STUDENT, other=OTHER)
    hub.run(f"echo 'of {OTHER}' > /home/{OTHER}/mine && chown {OTHER}: /home/{OTHER}/mine")
    return hub


@pytest.fixture(scope="module")
def archived(hub: Hub, sandbox: Sandbox) -> dict[str, Any]:
    del hub
    return dict(sandbox.json("archive", "term"))


def place(sandbox: Sandbox, archived: dict[str, Any]) -> Path:
    return Path(sandbox.root) / archived["directory"]


def test_archive_equals_the_home(hub: Hub, sandbox: Sandbox, archived: dict[str, Any]) -> None:
    """Unpacked by root on the server itself, so that owners and access lists can be compared too."""
    password = json.loads((sandbox.root / ".coursehub/backups/term.json").read_text())["password"]
    file = place(sandbox, archived) / archived["file"]
    gpg = ["gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--decrypt", str(file)]
    clear = subprocess.run(gpg, input=password.encode(), capture_output=True, check=True).stdout
    argv = Access(sandbox.project, "term").argv(hub.document["server"]["ip"], "cat > /root/term.tar")
    subprocess.run(argv, input=clear, check=True, timeout=300)
    hub.run("mkdir -p /root/opened && tar -C /root/opened --extract --acls --xattrs --same-owner -f /root/term.tar")
    before = odd_files.describe(hub, f"/home/{STUDENT}")
    after = odd_files.describe(hub, f"/root/opened/home/{STUDENT}")
    hub.run("rm -rf /root/opened /root/term.tar")
    assert {name.removeprefix("/root/opened"): facts for name, facts in after.items()}.keys() == before.keys()
    for name, facts in before.items():
        other = after[f"/root/opened{name}"]
        assert {**facts, "same": ""} == {**other, "same": ""}, name


def test_zip_is_the_students_alone(sandbox: Sandbox, archived: dict[str, Any]) -> None:
    made = {one["account"]: one for one in archived["zips"]}
    assert STUDENT in made
    assert "rivera" not in made
    with zipfile.ZipFile(place(sandbox, archived) / "students" / made[STUDENT]["file"]) as there:
        names = there.namelist()
        assert "labs/lab.ipynb" in names
        assert "many/499.txt" in names
        assert not [name for name in names if f"of {OTHER}".encode() in there.read(name)]


def test_links_serve_each_zip(hub: Hub, sandbox: Sandbox, archived: dict[str, Any]) -> None:
    """``handback`` itself fetches each; here the table's links are used."""
    document = sandbox.json("handback", "term", "--days", "3")
    with (sandbox.root / document["file"]).open() as table:
        links = {row["account"]: row["link"] for row in csv.DictReader(table)}
    made = {one["account"]: one["file"] for one in archived["zips"]}
    for account in (STUDENT, OTHER):
        answer = requests.get(links[account], verify=hub.document["ca_bundle"], timeout=60)
        assert answer.content == (place(sandbox, archived) / "students" / made[account]).read_bytes()
    hub.run("touch -d '-5 seconds' /var/lib/coursehub-handback/*; systemd-tmpfiles --clean")
    assert requests.get(links[STUDENT], verify=hub.document["ca_bundle"], timeout=60).status_code == 404


def test_down_archives_what_came_after_the_archive(hub: Hub, sandbox: Sandbox, archived: dict[str, Any]) -> None:
    """``rollover`` is content with the archive; then a student works on, so ``down`` makes another one."""
    assert sandbox.json("rollover", "term", "term-2", "--title", "Next")["saved"].endswith(archived["directory"])
    hub.run(f"date > /home/{STUDENT}/later; chown {STUDENT}: /home/{STUDENT}/later")
    saved = sandbox.json("down", "term", "--yes")["saved"]
    assert "with the newest work" in saved
    (newer,) = set((sandbox.root / "archives/term").iterdir()) - {place(sandbox, archived)}
    assert str(newer.relative_to(sandbox.root)) in saved
    with zipfile.ZipFile(next(newer.glob(f"students/*{STUDENT}.zip"))) as there:
        assert "later" in there.namelist()
