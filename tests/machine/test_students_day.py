"""A student's day: programs in the terminal, own packages, Lab's exports, a folder as one file."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Iterator

import pytest

from runner.hub.client import HubClient, HubFailure
from runner.people.passwords import Passwords
from tests.support import pdfs
from tests.support.attackers import Person
from tests.support.hub import Hub

pytestmark = [pytest.mark.machine, pytest.mark.timeout(900)]

STUDENT = "lbyrne"
#: Programs that a class expects, and where each comes from.
COURSES, SYSTEMS = ("python", "python3", "pip", "jupyter"), ("git", "nano", "less", "zip", "unzip", "file")


@pytest.fixture(scope="module")
def student(hub: Hub) -> Iterator[Person]:
    known = Passwords(hub.sandbox.project, hub.course).read()
    person = Person(hub, STUDENT, known[STUDENT].clear)
    yield person
    person.serve()
    person.client.api("DELETE", "/class/own")
    person.forget()


def environment(hub: Hub) -> str:
    """The active environment."""
    return hub.run("readlink -f /opt/course/env").strip()


def test_terminal_and_cells_have_the_courses_programs(hub: Hub, student: Person) -> None:
    """A terminal is a login shell, in which /etc/profile sets PATH again."""
    expected = [f"{environment(hub)}/bin/{name}" for name in COURSES] + [f"/usr/bin/{name}" for name in SYSTEMS]
    asked = "which " + " ".join((*COURSES, *SYSTEMS))
    assert student.shell(asked).text.splitlines() == expected
    assert student.shell(f"bash -lc '{asked}'").text.splitlines() == expected
    assert student.python(f"import subprocess; print(subprocess.getoutput({asked!r}))").splitlines() == expected


def test_pip_install_survives_a_restart_and_is_reset(hub: Hub, student: Person) -> None:
    """%pip installs into the student's own directory; the server's own process does not use it."""
    said = student.python("get_ipython().run_line_magic('pip', 'install cowsay')", 120)
    assert "Successfully installed cowsay" in said
    assert "only for you" in said
    student.restart()
    where = student.python("import cowsay; print(cowsay.__file__)")
    assert where.startswith(f"/home/{STUDENT}/.local/share/coursehub/packages/")
    found = json.loads(student.client.get(f"/user/{STUDENT}/class/own").text)
    assert [line.partition(" ")[0] for line in found["own"]] == ["cowsay"]
    pid = hub.run(f"systemctl show -p MainPID --value {student.unit}").strip()
    assert "PYTHONPATH" not in hub.run(f"tr '\\0' '\\n' < /proc/{pid}/environ | cut -d= -f1")
    student.client.api("DELETE", "/class/own")
    assert "No module named 'cowsay'" in student.shell("python -c 'import cowsay'").text


def test_pip_names_what_the_course_has(student: Person) -> None:
    said = student.shell("pip install numpy==1.0 2>&1").text
    assert "The course has numpy" in said
    assert "professor@coursehub.test" in said


def test_export_offers_what_works_and_it_works(student: Person) -> None:
    client: HubClient = student.serve()
    notebook = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "cells": [{"cell_type": "markdown", "id": "m1", "metadata": {}, "source": "# Größe ≤ 5"}],
    }
    client.api("PUT", "/api/contents/export.ipynb", json={"type": "notebook", "format": "json", "content": notebook})
    offered = set(client.api("GET", "/api/nbconvert").json())
    assert offered - {"pdf"} == {"custom", "html", "markdown", "notebook", "python", "script", "slides"}
    # Lab does not show this one, which needs code.
    for name in offered - {"custom"}:
        answer = client.get(f"/user/{STUDENT}/nbconvert/{name}/export.ipynb?download=true")
        assert answer.status_code == 200, (name, answer.text[:300])


@pytest.fixture
def with_pdf(hub: Hub) -> Iterator[None]:
    """The course with ``pdf: true``; restored afterwards."""
    path = hub.sandbox.project.course_file(hub.course)
    before = path.read_text(encoding="utf-8")
    if "\n  pdf: true\n" in before:
        yield
        return
    path.write_text(before.replace("\n  packages:", "\n  pdf: true\n  packages:"), encoding="utf-8")
    try:
        assert hub.sandbox.json("apply", hub.course)["courses"][hub.course]["failed"] == 0
        yield
    finally:
        path.write_text(before, encoding="utf-8")
        hub.sandbox.json("apply", hub.course)


@pytest.mark.usefixtures("with_pdf")
def test_pdf_has_all_that_a_class_writes(student: Person) -> None:
    """It contains fonts for Chinese, emoji and formulas; without them these would be missing or boxes."""
    student.restart()
    client = student.serve()
    content = {"type": "notebook", "format": "json", "content": pdfs.EVERYTHING}
    client.api("PUT", "/api/contents/all.ipynb", json=content)
    assert "pdf" in client.api("GET", "/api/nbconvert").json()
    answer = client.get(f"/user/{STUDENT}/nbconvert/pdf/all.ipynb?download=true", timeout=120)
    assert answer.status_code == 200, answer.text[:300]
    assert answer.headers["Content-Type"].startswith("application/pdf")
    found = pdfs.inside(answer.content)
    for font in (b"DroidSansFallback", b"NotoColorEmoji", b"NewCMMath"):
        assert font in found, font


def test_whole_home_downloads_as_one_file(student: Person) -> None:
    student.shell("mkdir -p work && echo done > work/result.txt && ln -sfn /srv/class work/elsewhere")
    query = "archiveToken=1&archiveFormat=zip&followSymlinks=false"
    answer = student.serve().get(f"/user/{STUDENT}/directories/?{query}")
    assert answer.status_code == 200, answer.text[:300]
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert f"{STUDENT}/work/result.txt" in names
    assert not [name for name in names if "elsewhere/" in name]


def test_memory_in_use_is_shown_with_the_limit(hub: Hub, student: Person) -> None:
    found = json.loads(student.serve().get(f"/user/{STUDENT}/api/metrics/v1").text)
    limit = int(hub.run(f"systemctl show -p MemoryMax --value {student.unit}"))
    assert found["limits"]["memory"]["rss"] == limit
    assert 0 < found["pss"] < limit


def test_death_by_memory_tells_how_much_and_what_to_do(hub: Hub, student: Person) -> None:
    """By an event, which Lab shows as a notification."""
    line = student.serve().websocket(f"/user/{STUDENT}/api/events/subscribe")
    with contextlib.suppress(HubFailure):
        student.python("x = bytearray(3 << 30)", 60)
    line.settimeout(30)
    told = ""
    for _ in range(50):
        event = json.loads(line.recv())
        if event["schema_id"].endswith("kernel-out-of-memory"):
            told = event["message"]
            break
    line.close()
    limit = int(hub.run(f"systemctl show -p MemoryMax --value {student.unit}"))
    assert f"{limit >> 30} GB" in told
    assert "your files are not" in told
    assert "professor@coursehub.test" in told
