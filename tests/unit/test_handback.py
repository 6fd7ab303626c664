"""``handback``: what is sent to the hub, who could read it, and when it expires."""

from __future__ import annotations

import csv
import datetime
import json
import os
import re
import shutil
import stat
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.archive import records, stream
from runner.console import Steps
from runner.course.people import Person
from runner.errors import CoursehubError
from runner.project import Project
from runner.verbs import archive, handback
from tests.support.archiving import ADA, BOB, LEFT, School, silent

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of several people"),
]
REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def school(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> School:
    """A class whose term is archived, and its hub's directory for what is handed back."""
    for name in ("root", "served"):
        (tmp_path / name).mkdir()
    made = School(tmp_path / "server", Project(tmp_path / "root"))
    monkeypatch.setattr(stream, "Source", made.as_source())
    made.write(ADA, {"lab": "ada's"})
    made.write(BOB, {"lab": "bob's"})
    archive.make(made.session, made.server, silent)
    session = made.session
    session.url, session.course.domain, session.ca_bundle = "https://phys.test/", "phys.test", None
    monkeypatch.setattr(handback, "visit", lambda *_: session)
    monkeypatch.setattr(handback, "_try", lambda *_: None)
    for name in ("_RECEIVE", "_LOOK"):
        monkeypatch.setattr(handback, name, getattr(handback, name).replace(handback._ROOT, str(tmp_path / "served")))
    # The hub's server is this computer; what is on its command line is kept.
    made.seen = []  # type: ignore[attr-defined]

    def argv(_ip: str, command: str) -> list[str]:
        made.seen.append(command)  # type: ignore[attr-defined]
        return ["/bin/sh", "-c", command]

    monkeypatch.setattr(made.access, "argv", argv)
    return made


def hand_back(school: School, **options: Any) -> list[dict[str, str]]:
    given = {"days": 30, "on": None, **options}
    document = handback.handback(school.project, "phys", Steps(), **given)
    with (school.project.root / document["file"]).open() as table:
        return list(csv.DictReader(table))


def test_each_student_has_a_link_to_their_own_zip(school: School, tmp_path: Path) -> None:
    rows = {row["account"]: row["link"] for row in hand_back(school)}
    found = records.newest(school.project, "phys")
    assert found is not None
    place, record = found
    for one in record.zips:
        token = re.fullmatch(r"https://phys\.test/handback/([A-Za-z0-9_-]{43})\.zip", rows[one.account])
        assert token
        served = tmp_path / "served" / f"{token[1]}.zip"
        assert served.read_bytes() == (place / "students" / one.file).read_bytes()
        assert stat.S_IMODE(served.stat().st_mode) == 0o640
    assert len(set(rows.values())) == len(rows) == 3
    assert len(list((tmp_path / "served").iterdir())) == 3


def test_links_are_private_and_on_no_command_line(school: School, capsys: pytest.CaptureFixture[str]) -> None:
    tokens = [row["link"].rpartition("/")[2].removesuffix(".zip") for row in hand_back(school)]
    found = records.newest(school.project, "phys")
    assert found is not None
    for name in ("links.csv", "handback.json"):
        assert stat.S_IMODE((found[0] / name).stat().st_mode) == 0o600
    printed = capsys.readouterr()
    assert not [token for token in tokens if token in printed.out + printed.err + " ".join(school.seen)]


def test_second_time_gives_the_same_links_and_a_new_day(school: School, tmp_path: Path) -> None:
    first = hand_back(school, days=1)
    second = hand_back(school, days=60)
    assert [row["link"] for row in first] == [row["link"] for row in second]
    assert second[0]["until"] == str(datetime.date.today() + datetime.timedelta(days=60))
    ends = {round(path.stat().st_mtime) for path in (tmp_path / "served").iterdir()}
    assert len(ends) == 1
    assert 60 * 86400 < ends.pop() - time.time() < 63 * 86400


def test_expired_files_are_removed(school: School, tmp_path: Path) -> None:
    """By systemd's own program, with the line that the formula writes."""
    hand_back(school)
    served = tmp_path / "served"
    old, *others = sorted(served.iterdir())
    os.utime(old, (time.time() + 9, time.time() - 5))
    (line,) = re.findall(
        r"^ +d \{\{ nginx.downloads.root \}\} .*$", (REPO / "formulas/nginx/config.sls").read_text(), re.M
    )
    filled = line.strip().replace("{{ nginx.downloads.root }}", str(served)).replace("{{ nginx.user }}", "root")
    (tmp_path / "one.conf").write_text(f"{filled}\n")
    subprocess.run(["systemd-tmpfiles", "--clean", str(tmp_path / "one.conf")], check=True)
    assert sorted(served.iterdir()) == others


def test_damaged_zip_is_not_handed_back(school: School, tmp_path: Path) -> None:
    found = records.newest(school.project, "phys")
    assert found is not None
    path = next((found[0] / "students").glob(f"*_{ADA}.zip"))
    content = bytearray(path.read_bytes())
    content[35] ^= 1
    path.write_bytes(content)
    with pytest.raises(CoursehubError, match=r"cannot be read back|does not have"):
        hand_back(school)
    assert list((tmp_path / "served").iterdir()) == []


def test_server_without_room_gets_nothing(school: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handback, "_LOOK", "echo 1000000000")
    with pytest.raises(CoursehubError, match=r"need 1\.1 GB on its server's disk, with 1 GB to spare, and 1\.0 GB"):
        hand_back(school)
    assert list((tmp_path / "served").iterdir()) == []


def test_server_of_an_older_coursehub_wants_an_apply(school: School, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "served")
    with pytest.raises(CoursehubError, match="older coursehub; run 'coursehub apply phys' first"):
        hand_back(school)


def test_course_without_an_archive_is_told(school: School) -> None:
    with pytest.raises(CoursehubError, match="math has no archive yet; run 'coursehub archive math' first"):
        handback.handback(school.project, "math", Steps(), days=30, on=None)


def test_record_keeps_the_links(school: School) -> None:
    """Links that were sent go on working on the next term's hub with the same address."""
    rows = hand_back(school)
    found = records.newest(school.project, "phys")
    assert found is not None
    tokens = json.loads((found[0] / "handback.json").read_text())
    assert all(tokens[row["account"]] in row["link"] for row in rows)


def test_links_have_names_without_the_course_file(school: School) -> None:
    """The term is over, and its file may be gone; the archive has who is who. Who left before it has no name."""
    rows = {row["account"]: (row["name"], row["email"]) for row in hand_back(school)}
    assert rows == {ADA: ("Ada Lovelace", "ada@example.edu"), BOB: ("Bob \u202e../..\\x", ""), LEFT: ("", "")}


def test_links_have_names_from_an_older_archive(school: School) -> None:
    """Its record has them only in the names of the zips."""
    found = records.newest(school.project, "phys")
    assert found is not None
    path = found[0] / "archive.json"
    record = json.loads(path.read_text())
    record["zips"] = [
        {key: value for key, value in one.items() if key not in ("name", "email")} for one in record["zips"]
    ]
    path.write_text(json.dumps(record))
    assert {row["account"]: row["name"] for row in hand_back(school)}[ADA] == "Ada Lovelace"


def test_links_prefer_the_course_file(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its names may have been put right since. A mistake in it must not keep the links back."""
    path = school.project.course_file("phys")
    path.parent.mkdir(parents=True)
    path.write_text("no: course file\n")
    assert {row["account"]: row["name"] for row in hand_back(school)}[ADA] == "Ada Lovelace"
    ada = Person(account="ada", name="Ada King", email="king@example.edu").model_copy(update={"account": ADA})
    monkeypatch.setattr(handback.courses, "load", lambda *_: None)
    monkeypatch.setattr(handback, "people_of", lambda *_: SimpleNamespace(everyone=lambda: [ada]))
    rows = {row["account"]: (row["name"], row["email"]) for row in hand_back(school)}
    assert (rows[ADA], rows[BOB][0][:3]) == (("Ada King", "king@example.edu"), "Bob")
