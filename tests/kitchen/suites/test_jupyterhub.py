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
    for port in (8000, 8001, 8081):
        assert f"127.0.0.1:{port} " in listening
        assert not outside.answers(address, port)


def test_nobody_gets_in_without_an_account_of_the_class(host: Host) -> None:
    """Root has a password here that would do; it is in no group that may sign in."""
    host.check_output("echo root:change-me | chpasswd")
    try:
        for account, password in (("root", "change-me"), ("nobody", ""), ("stranger", "x")):
            jar = "/tmp/kitchen-jar"
            host.check_output("rm -f %s; curl -fsS -c %s -o /dev/null http://127.0.0.1:8000/hub/login", jar, jar)
            code = host.check_output(
                "curl -sS -o /dev/null -w '%%{http_code}' -b %s -d \"_xsrf=$(awk '$6 == \"_xsrf\" {print $7}' %s)\" "
                "-d username=%s -d password=%s http://127.0.0.1:8000/hub/login",
                jar,
                jar,
                account,
                password,
            )
            assert code in ("200", "401", "403"), (account, code)
            assert "jupyterhub-session-id" not in host.check_output("cat %s", jar) or code != "302"
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


def test_both_come_back_with_the_machine(host: Host) -> None:
    for unit in ("jupyterhub", "jupyterhub-proxy"):
        assert host.service(unit).is_enabled
        assert host.service(unit).is_running
