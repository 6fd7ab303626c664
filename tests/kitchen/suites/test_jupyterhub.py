"""The hub and its proxy, asked at their own doors."""

from __future__ import annotations

import json

from testinfra.host import Host

from tests.kitchen.suites import outside

ASK = "curl -sS -m 20 -o /dev/null -w '%{http_code}' "


def test_the_hubs_api_answers_through_the_proxy(host: Host) -> None:
    assert json.loads(host.check_output("curl -fsS http://127.0.0.1:8000/hub/api/"))["version"].startswith("6.")
    assert "username" in host.check_output("curl -fsS http://127.0.0.1:8000/hub/login")


def test_the_api_wants_a_token(host: Host) -> None:
    assert host.check_output(ASK + "http://127.0.0.1:8000/hub/api/users") == "403"
    assert host.check_output(ASK + "http://127.0.0.1:8001/api/routes") == "403"


def test_students_work_is_for_who_has_signed_in(host: Host) -> None:
    page = "http://127.0.0.1:8000/services/students-work/"
    assert host.check_output(ASK + page) == "403"
    assert host.check_output(ASK + "-H 'Sec-Fetch-Mode: navigate' " + page) == "302"


def test_the_proxys_token_is_a_secret_of_its_own(host: Host) -> None:
    """Not a path, not a constant; and it opens the proxy's door."""
    env = host.check_output("cat /srv/jupyterhub/proxy.env")
    token = env.removeprefix("CONFIGPROXY_AUTH_TOKEN=")
    assert len(token) == 64
    int(token, 16)
    routes = host.check_output(
        'curl -fsS -H "Authorization: token $(cut -d= -f2 /srv/jupyterhub/proxy.env)" http://127.0.0.1:8001/api/routes'
    )
    assert "/" in json.loads(routes)
    assert host.run("runuser -u nobody -- cat /srv/jupyterhub/proxy.env").rc != 0


def test_nothing_of_it_answers_from_outside(host: Host, address: str) -> None:
    listening = host.check_output("ss -Hltn")
    for port in (8000, 8001, 8002, 8081):
        assert f"127.0.0.1:{port} " in listening
        assert not outside.answers(address, port)


SIGN_IN = """
jar=$(mktemp)
curl -fsS -m 20 -c "$jar" -o /dev/null http://127.0.0.1:8000/hub/login
curl -sS -m 60 -o /dev/null -w '%%{http_code}' -b "$jar" -d "_xsrf=$(awk '$6 == "_xsrf" {print $7}' "$jar")" \\
    -d username=%s -d password=%s http://127.0.0.1:8000/hub/login
rm -f "$jar"
"""


def test_only_members_of_the_class_get_in(host: Host) -> None:
    """All three have the password; one is in a group that may sign in."""
    host.check_output("getent group students >/dev/null || groupadd students")
    host.check_output("id -u kin >/dev/null 2>&1 || useradd -m -G students kin")
    host.check_output("id -u kout >/dev/null 2>&1 || useradd -m kout")
    host.check_output("printf '%s\\n' kin:change-me kout:change-me root:change-me | chpasswd")
    try:
        codes = {account: host.check_output(SIGN_IN, account, "change-me") for account in ("kin", "kout", "root")}
        assert codes == {"kin": "302", "kout": "403", "root": "403"}
        assert host.check_output(SIGN_IN, "kin", "another") == "403"
    finally:
        host.check_output("passwd --quiet --lock root")


def test_a_restart_of_the_hub_leaves_the_proxy_running(host: Host) -> None:
    before = host.check_output("systemctl show -p MainPID --value jupyterhub-proxy")
    host.check_output("systemctl restart jupyterhub")
    host.check_output(
        "for i in $(seq 150); do curl -fsS -o /dev/null http://127.0.0.1:8000/hub/api/ 2>/dev/null && exit; "
        "sleep 0.2; done; exit 1"
    )
    assert host.check_output("systemctl show -p MainPID --value jupyterhub-proxy") == before != "0"


def test_while_the_hub_is_away_people_are_told_to_wait(host: Host) -> None:
    """By a page that looks again by itself; a status that no robot takes for the true page."""
    host.check_output("systemctl stop jupyterhub")
    try:
        answer = host.check_output("curl -sS -m 20 -i http://127.0.0.1:8000/hub/login")
    finally:
        host.check_output("systemctl start jupyterhub")
    assert answer.startswith("HTTP/1.1 503 ")
    assert "content-type: text/html" in answer.lower()
    assert '<meta http-equiv="refresh" content="5">' in answer
    assert "The hub is restarting" in answer


def test_both_come_back_with_the_machine(host: Host) -> None:
    for unit in ("jupyterhub", "jupyterhub-proxy", "jupyterhub-work"):
        assert host.service(unit).is_enabled
        assert host.service(unit).is_running
