"""Before a class, a student's server starts, and a kernel is ready in it: nobody waits at nine o'clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import yaml

from tests.machine.test_hub import STUDENT, until
from tests.support.hub import Hub

pytestmark = [pytest.mark.machine, pytest.mark.timeout(600)]

#: Prints the number of the process that waits to become this student's kernel, and the modules in it.
WAITS = f"pgrep -u {STUDENT} -f 'class_kernel/ready.py' || true"
#: The unit that makes the image of a kernel, and where it is (formula course_env).
IMAGE, IMAGES = "coursehub-warm-kernel", "/var/cache/coursehub-warm"


def apply(hub: Hub) -> None:
    assert hub.sandbox.json("apply", hub.course)["courses"][hub.course]["failed"] == 0


@pytest.fixture
def class_soon(hub: Hub) -> Iterator[None]:
    """The course has a class in a few minutes."""
    path = hub.sandbox.project.course_file(hub.course)
    before = path.read_text(encoding="utf-8")
    document = yaml.safe_load(before)
    zone = ZoneInfo(document["course"].get("timezone", "Etc/UTC"))
    document["course"]["timetable"] = [f"{datetime.now(zone) + timedelta(minutes=8):%a %H:%M}"]
    with hub.sandbox.client(hub.document, STUDENT) as client:
        client.start_server()
        client.stop_server()
    path.write_text("#!yaml\n" + yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    try:
        apply(hub)
        yield
    finally:
        path.write_text(before, encoding="utf-8")
        apply(hub)


@pytest.fixture
def no_image(hub: Hub) -> Iterator[None]:
    """There is no image of a kernel, as when a package of the course cannot be in one."""
    hub.run(f"systemctl stop {IMAGE}.timer; rm {IMAGES}/kernel.image")
    try:
        yield
    finally:
        hub.run(f"systemctl start {IMAGE}.timer {IMAGE}")


def wait_for_the_server(hub: Hub) -> None:
    until(
        "the student's server runs",
        lambda: hub.run(f"ls /run/coursehub/servers/{STUDENT}.sock 2> /dev/null || true").strip() != "",
        90,
    )
    said = "journalctl -u jupyterhub -n 200 --no-pager -o cat | grep 'before the class at' || true"
    until("the hub says why", lambda: hub.run(said).strip() != "", 30)


@pytest.mark.usefixtures("class_soon")
def test_server_is_ready_before_a_class(hub: Hub) -> None:
    """A kernel starts from the image, so none waits for its owner."""
    wait_for_the_server(hub)
    with hub.sandbox.client(hub.document, STUDENT) as client:
        client.start_server()
        assert hub.run(WAITS).strip() == ""
        with client.kernel() as kernel:
            assert kernel.run("import sys; print('numpy' in sys.modules)") == "True"
        client.stop_server()


@pytest.mark.usefixtures("no_image", "class_soon")
def test_kernel_is_ready_where_there_is_no_image(hub: Hub) -> None:
    wait_for_the_server(hub)
    until("a kernel is ready", lambda: hub.run(WAITS).strip() != "", 90)
    waits = hub.run(WAITS).strip()
    # The modules are loaded.
    until("it waits", lambda: hub.run(f"grep -c numpy /proc/{waits}/maps || true").strip() not in ("", "0"), 60)
    with hub.sandbox.client(hub.document, STUDENT) as client:
        client.start_server()
        with client.kernel() as kernel:
            assert kernel.run("import os, sys; print(os.getpid(), 'numpy' in sys.modules)") == f"{waits} True"
            assert kernel.run("print(os.getcwd(), os.environ['MPLBACKEND'])") == (
                f"/home/{STUDENT} module://matplotlib_inline.backend_inline"
            )
        client.stop_server()
    assert hub.run(WAITS).strip() == ""
