"""The main job on real machines: up, apply, a student at work, reboot, restarts, limits."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from runner.errors import CoursehubError
from runner.hub.client import HubClient, HubFailure
from tests.support.hub import Hub
from tests.support.machine import one_line

pytestmark = [pytest.mark.machine, pytest.mark.timeout(900)]

STUDENT, OTHER, PROFESSOR = "abello", "bcarter", "rivera"


def until(what: str, ready: Callable[[], bool], seconds: float) -> float:
    """Wait until ``ready``; return how long it took. The limit is generous: it ends a hang and does not judge speed."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        with contextlib.suppress(HubFailure, requests.RequestException, OSError):
            if ready():
                return time.monotonic() - began
        time.sleep(0.2)
    pytest.fail(f"{what}: not within {seconds} s")


def hub_answers(hub: Hub) -> bool:
    with HubClient(hub.document["hostname"], STUDENT, Path(hub.document["ca_bundle"])) as client:
        return client.get("/hub/api/").status_code == 200


def booted(hub: Hub) -> str:
    """When the machine's PID 1 started, which differs after each boot; empty while it is down."""
    with contextlib.suppress(CoursehubError):
        return hub.run("cut -d' ' -f22 /proc/1/stat", seconds=20)
    return ""


@pytest.fixture(params=["hub", pytest.param("hub12", marks=pytest.mark.long)])
def each(request: pytest.FixtureRequest) -> Hub:
    """Debian 13 and Debian 12."""
    return request.getfixturevalue(request.param)


def test_up_prints_the_whole_document(each: Hub) -> None:
    document = each.document
    assert document["course"] == each.course
    assert document["cloud"] == "local"
    assert set(document["server"]) == {"id", "name", "ip", "ip6", "size", "image", "region", "made_by"}
    assert document["highstate"]["failed"] == 0
    assert document["highstate"]["total"] >= document["highstate"]["changed"] > 0
    assert [check["name"] for check in document["checks"] if not check["ok"]] == []
    assert {"dns", "ipv6", "certificate", "redirect", "closed", "login page", "sign-in", "server", "kernel"} == {
        check["name"] for check in document["checks"]
    }
    assert set(document["seconds"]) == {"server", "highstate", "checks", "total"}
    assert Path(document["ca_bundle"]).read_text(encoding="ascii").startswith("-----BEGIN CERTIFICATE-----")


def test_no_unit_has_failed(each: Hub) -> None:
    assert each.run("systemctl --failed --no-legend --plain") == ""


def test_second_apply_changes_nothing_and_asks_no_ca(each: Hub) -> None:
    asked = "stat -c %Y /etc/letsencrypt/live/*/cert.pem; ls /var/log/letsencrypt | wc -l"
    before = each.run(asked)
    outcome = each.sandbox.json("apply", each.course)["courses"][each.course]
    assert (outcome["changed"], outcome["failed"], outcome["changes"]) == (0, 0, [])
    assert each.run(asked) == before


def test_a_plan_of_nothing_is_empty(each: Hub) -> None:
    outcome = each.sandbox.json("plan", each.course)["courses"][each.course]
    assert (outcome["would_change"], outcome["changes"]) == (0, [])


def test_up_on_a_finished_course_is_an_apply(hub: Hub) -> None:
    again = hub.sandbox.json("up", "demo")
    assert again["server"]["id"] == hub.document["server"]["id"]
    assert again["highstate"]["changed"] == 0


def test_down_of_a_trial_asks_first(hub: Hub) -> None:
    """People's files go with a server of the local cloud too."""
    asked = hub.sandbox.run("down", hub.course)
    assert asked.returncode == 2, asked.stderr
    assert f"say 'coursehub down {hub.course} --yes'" in asked.stderr
    assert hub_answers(hub)


def test_one_pillar_value_changes_what_depends_on_it_and_no_more(hub: Hub) -> None:
    hub.sandbox.edit("demo", "upload_limit: 100M", "upload_limit: 120M")
    try:
        planned = hub.sandbox.json("plan", "demo")["courses"]["demo"]
        applied = hub.sandbox.json("apply", "demo")["courses"]["demo"]
        names = {change["name"] for change in applied["changes"]}
        # Reactions to a file (such as a reload) are decided on the server once the file is there.
        foreseen = {change["name"] for change in planned["changes"]}
        assert foreseen == {"/etc/nginx/nginx.conf", "/etc/jupyter/class_uploads.json"}
        assert names == foreseen | {"nginx-reload"}
        assert any("120" in change["diff"] for change in planned["changes"])
    finally:
        hub.sandbox.edit("demo", "upload_limit: 120M", "upload_limit: 100M")
        hub.sandbox.json("apply", "demo")


def test_a_late_student_disturbs_nobody(hub: Hub) -> None:
    with hub.sandbox.client(hub.document, STUDENT) as client:
        client.start_server()
        with client.kernel() as kernel:
            kernel.run("kept = 'before the late student'")
            started = hub.run("systemctl show -p ActiveEnterTimestampMonotonic jupyterhub jupyterhub-proxy nginx")
            hub.sandbox.edit("demo", "    students:\n", "    students:\n      - {account: late, name: Late Comer}\n")
            outcome = hub.sandbox.json("apply", "demo")["courses"]["demo"]
            assert {change["name"] for change in outcome["changes"]} == {
                "accounts-class", "homes-look", "/etc/jupyterhub/names.json",
            }  # fmt: skip
            assert kernel.run("print(kept)") == "before the late student"
            assert (
                hub.run("systemctl show -p ActiveEnterTimestampMonotonic jupyterhub jupyterhub-proxy nginx") == started
            )
    with hub.sandbox.client(hub.document, "late") as late:
        late.start_server()
        late.stop_server()


def test_a_student_works_over_https(each: Hub) -> None:
    with each.sandbox.client(each.document, STUDENT) as client:
        client.start_server()
        with client.kernel() as kernel:
            assert kernel.run("import numpy, pandas, matplotlib.pyplot; print(numpy.arange(5).sum() * 4)") == "40"
            home = kernel.run(
                "import os, pathlib; print(pathlib.Path.home(), oct(os.stat(pathlib.Path.home()).st_mode)[-3:])"
            )
            assert home == f"/home/{STUDENT} 700"
            assert "PermissionError" in kernel.run(
                "import os\ntry:\n"
                f"    print(os.listdir('/home/{OTHER}'))\nexcept OSError as e:\n    print(type(e).__name__)"
            )
        client.stop_server()


def test_a_request_with_a_body_is_never_answered_by_the_proxy(hub: Hub) -> None:
    """However fast the other side answers; otherwise a few per cent get 503 (class_server/closing.py)."""
    with hub.sandbox.client(hub.document, STUDENT) as client:
        client.start_server()
        paths = {f"/user/{STUDENT}/api/status": 405, "/hub/api/nothing": 404}
        for path, expected in paths.items():
            headers = {"X-XSRFToken": client._xsrf(path), "Referer": client.base}
            said = Counter(
                client._request("POST", path, data=b"x" * 50, headers=headers).status_code for _ in range(200)
            )
            assert said == {expected: 200}, path
        client.stop_server()


def test_verification_is_on(hub: Hub) -> None:
    """The same request without the test authority must fail: certificates are really verified."""
    with HubClient(hub.document["hostname"], STUDENT) as client, pytest.raises(HubFailure, match="not trusted"):
        client.get("/hub/login")


def test_a_wrong_password_and_a_stranger_are_refused(hub: Hub) -> None:
    for account in (STUDENT, "stranger", "root"):
        with (
            HubClient(hub.document["hostname"], account, Path(hub.document["ca_bundle"])) as client,
            pytest.raises(HubFailure, match="refused"),
        ):
            client.sign_in("wrong password")


def test_salt_ssh_typed_by_hand_works_from_the_root(hub: Hub) -> None:
    ping = hub.sandbox.salt_ssh("*", "test.ping", "--out=json", "--static")
    assert '"demo": true' in ping.stdout, ping.stdout + ping.stderr
    dry = hub.sandbox.salt_ssh("demo", "state.apply", "jupyterhub", "test=True")
    assert dry.returncode == 0, dry.stdout
    assert re.search(r"^Failed: +0$", dry.stdout, re.MULTILINE), dry.stdout
    full = hub.sandbox.salt_ssh("demo", "state.highstate", "--state-output=terse")
    assert full.returncode == 0, full.stdout
    assert "changed=" not in full.stdout


def test_only_three_ports_answer(each: Hub) -> None:
    """From outside; and while somebody works, nothing else listens on the server itself."""
    answering = []
    for port in (22, 80, 443, 111, 8000, 8001, 8081, 8888):
        with contextlib.suppress(OSError), socket.create_connection((each.document["server"]["ip"], port), 1):
            answering.append(port)
    assert answering == [22, 80, 443]
    with each.sandbox.client(each.document, STUDENT) as client:
        client.start_server()
        with client.kernel() as kernel:
            assert kernel.run("print(6 * 7)") == "42"
            lines = each.run("ss -Hltn; ss -Hlun").splitlines()
        client.stop_server()
    assert {int(line.split()[3].rpartition(":")[2]) for line in lines} == {22, 80, 443}, lines


def test_www_is_on_the_certificate(hub: Hub) -> None:
    context = ssl.create_default_context(cafile=hub.document["ca_bundle"])
    name = f"www.{hub.document['hostname']}"
    with socket.create_connection((name, 443), 10) as raw, context.wrap_socket(raw, server_hostname=name) as tls:
        assert tls.version() in ("TLSv1.2", "TLSv1.3")


def test_secrets_on_the_server_are_roots_alone(hub: Hub) -> None:
    open_files = hub.run(
        "find /srv/jupyterhub /etc/letsencrypt/live /etc/letsencrypt/archive /etc/jupyterhub /var/lib/coursehub-salt"
        " -maxdepth 0 -perm /077;"
        "find -L /etc/ssl/coursehub /etc/letsencrypt -name 'privkey*' -perm /077"
    )
    assert open_files == ""


def test_the_hub_is_restarted_and_a_kernel_keeps_its_variables(each: Hub) -> None:
    with each.sandbox.client(each.document, STUDENT) as client:
        client.start_server()
        with client.kernel() as kernel:
            kernel.run("survivor = 41")
            each.run("systemctl restart jupyterhub")
            until("the hub after its restart", lambda: hub_answers(each), 120)
            assert kernel.run("print(survivor + 1)") == "42"


def test_a_killed_hub_and_a_killed_proxy_lose_no_kernel(hub: Hub) -> None:
    """Faults 25 and 26."""
    status = f"/user/{STUDENT}/api/status"
    with hub.sandbox.client(hub.document, STUDENT) as client:
        client.start_server()
        with client.kernel() as kernel:
            kernel.run("survivor = 41")
            hub.run("kill -9 $(systemctl show -p MainPID --value jupyterhub)")
            until("the hub after kill -9", lambda: hub_answers(hub), 120)
            assert kernel.run("print(survivor + 1)") == "42"
            hub.run("kill -9 $(systemctl show -p MainPID --value jupyterhub-proxy)")
            until(
                "the routes after the proxy's kill -9",
                lambda: client.http.get(f"{client.origin(status)}{status}", timeout=5).status_code == 200,
                120,
            )
            assert kernel.run("print(survivor + 2)") == "43"


def test_a_memory_hog_dies_alone(hub: Hub) -> None:
    with hub.sandbox.client(hub.document, STUDENT) as hog, hub.sandbox.client(hub.document, OTHER) as other:
        hog.start_server()
        other.start_server()
        with other.kernel() as quiet, hog.kernel() as greedy:
            quiet.run("kept = 7")
            with pytest.raises(HubFailure):
                greedy.run("data = []\nwhile True:\n    data.append(bytearray(32 * 1024 * 1024))", seconds=60)
            assert hub_answers(hub)
            assert quiet.run("print(kept)") == "7"
            # The student's server survives: only the kernel died, and a new one works.
            with hog.kernel() as fresh:
                assert fresh.run("print('here again')") == "here again"
        hog.stop_server()
        other.stop_server()


def test_broken_nginx_or_hub_configuration_is_not_installed(hub: Hub) -> None:
    """Faults 18 and 19: a file that fails its own program's check is not installed; the hub keeps running."""
    needles = {
        hub.sandbox.root / "formulas/nginx/files/nginx.conf": "no_such_directive on;",
        hub.sandbox.root / "formulas/jupyterhub/files/jupyterhub_config.py": "c.NoSuch.trait =",
    }
    good = {path: path.read_text(encoding="utf-8") for path in needles}
    try:
        for path, needle in needles.items():
            path.write_text(f"{good[path]}\n{needle}\n", encoding="utf-8")
        line = one_line(
            hub.sandbox.run("apply", "demo"), "state /etc/nginx/nginx.conf", "no_such_directive", "more failed"
        )
        print(line)
        assert hub_answers(hub)
        for needle in needles.values():
            assert hub.run(f"grep -rl '{needle}' /etc/nginx /etc/jupyterhub || true") == ""
    finally:
        for path, text in good.items():
            path.write_text(text, encoding="utf-8")
    assert hub.sandbox.json("apply", "demo")["courses"]["demo"]["failed"] == 0


def test_a_changed_host_key_is_refused(hub: Hub) -> None:
    """Fault 14."""
    known = hub.sandbox.project.state / "servers" / "demo" / "known_hosts"
    good = known.read_text(encoding="utf-8")
    from runner.servers.access import KeyPair

    other = KeyPair.generate("x").public.split()[1]
    known.write_text(f"{good.split()[0]} ssh-ed25519 {other}\n", encoding="utf-8")
    try:
        done = hub.sandbox.run("apply", "demo")
        assert done.returncode == 1
        assert "another host key" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        known.write_text(good, encoding="utf-8")


def test_after_a_reboot_it_is_all_there_again(each: Hub) -> None:
    with each.sandbox.client(each.document, STUDENT) as client:
        client.start_server()
        client.api("PUT", "/api/contents/mine.txt", json={"type": "file", "format": "text", "content": "my work"})
    before = booted(each)
    with contextlib.suppress(Exception):
        each.run("systemctl reboot", seconds=20)
    # The answering hub must not be the one that is about to shut down.
    until("another boot", lambda: booted(each) not in ("", before), 180)
    until("the hub after the reboot", lambda: hub_answers(each), 120)
    looked = each.sandbox.json("check", each.course)
    assert looked["ok"], looked
    again = each.sandbox.json("apply", each.course)["courses"][each.course]
    assert (again["changed"], again["changes"]) == (0, [])
    with each.sandbox.client(each.document, STUDENT) as client:
        client.start_server()
        assert client.api("GET", "/api/contents/mine.txt").json()["content"] == "my work"
        with client.kernel() as kernel:
            assert kernel.run("print(5 * 4)") == "20"
        client.stop_server()
