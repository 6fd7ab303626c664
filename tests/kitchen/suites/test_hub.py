"""The whole hub, checked like ``coursehub check``, and what its people can and cannot do."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from testinfra.host import Host

from runner.hub import checks
from runner.hub.client import HubClient, HubFailure
from tests.kitchen.suites import outside

NAME = f"{os.environ['KITCHEN_PLATFORM']}.{os.environ.get('KITCHEN_ZONE', 'coursehub.test')}"
PASSWORD = "change-me"
LIST_ANOTHERS_HOME = """
import os
try:
    print(os.listdir('/home/kother'))
except OSError as error:
    print(type(error).__name__)
"""


def test_a_look_from_outside_finds_nothing_wrong(address: str, ca_bundle: Path | None) -> None:
    """Name, certificate, redirect, closed ports, sign-in, a server, a kernel that computes."""
    target = checks.Target((NAME, f"www.{NAME}"), address, ca_bundle, "coursehub-check", PASSWORD)
    looked = checks.look(target, lambda _: None)
    assert [(check.name, check.detail) for check in looked if not check.ok] == []
    assert looked[-1].name == "kernel"


def test_a_student_computes_with_the_courses_packages(ca_bundle: Path | None, host: Host) -> None:
    with HubClient(NAME, "kstudent", ca_bundle) as student:
        student.sign_in(PASSWORD)
        student.start_server()
        with student.kernel() as kernel:
            assert kernel.run("import numpy; print(int(numpy.arange(5).sum()) * 4)") == "40"
            assert kernel.run(LIST_ANOTHERS_HOME) == "PermissionError"
        unit = host.check_output("systemctl show -p MemoryMax --value jupyter-kstudent.service")
        assert unit == str(1024**3)
        student.stop_server()


def test_a_wrong_password_is_refused(ca_bundle: Path | None) -> None:
    with HubClient(NAME, "kstudent", ca_bundle) as student, pytest.raises(HubFailure, match="refused"):
        student.sign_in("another")


def test_the_courses_upload_limit_reaches_nginx(address: str, ca_bundle: Path | None, host: Host) -> None:
    """It applies to a student's own uploads; other pages accept less."""
    with HubClient(NAME, "kstudent", ca_bundle) as student:
        student.sign_in(PASSWORD)
        student.start_server()

        def upload(size: int) -> None:
            file = {"type": "file", "format": "text", "content": "x" * size}
            student.api("PUT", "/api/contents/kitchen.txt", json=file)

        upload(2_900_000)
        with pytest.raises(HubFailure, match="HTTP 413"):
            upload(3_300_000)
        student.stop_server()
    assert host.file("/home/kstudent/kitchen.txt").size == 2_900_000
    tls = outside.trusting(ca_bundle) if ca_bundle else ssl.create_default_context()
    assert outside.ask(address, NAME, "/hub/api/", method="POST", announce=2_900_000, tls=tls).status == 413


def test_a_students_home_is_unreadable_to_another(host: Host) -> None:
    assert host.run("runuser -u kstudent -- ls /home/kstudent").rc == 0
    assert host.run("runuser -u kother -- ls /home/kstudent").rc != 0


def test_no_unit_has_failed(host: Host) -> None:
    assert host.check_output("systemctl --failed --no-legend --plain") == ""
