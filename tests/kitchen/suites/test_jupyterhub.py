"""The hub and its proxy, at their own sockets."""

from __future__ import annotations

import json

from testinfra.host import Host

#: curl at the proxy's own socket, and at its API's.
FRONT = "--unix-socket /run/coursehub/front/proxy.sock http://hub"
PROXY_API = "--unix-socket /run/coursehub/proxy-api/api.sock http://proxy"
ASK = "curl -sS -m 20 -o /dev/null -w '%{http_code}' "


def test_the_hubs_api_answers_through_the_proxy(host: Host) -> None:
    assert json.loads(host.check_output(f"curl -fsS {FRONT}/hub/api/"))["version"].startswith("6.")
    assert "username" in host.check_output(f"curl -fsS {FRONT}/hub/login")


def test_the_api_wants_a_token(host: Host) -> None:
    assert host.check_output(f"{ASK}{FRONT}/hub/api/users") == "403"
    assert host.check_output(f"{ASK}{PROXY_API}/api/routes") == "403"


def test_students_work_is_for_who_has_signed_in(host: Host) -> None:
    page = f"{FRONT}/services/students-work/"
    assert host.check_output(ASK + page) == "403"
    assert host.check_output(ASK + "-H 'Sec-Fetch-Mode: navigate' " + page) == "302"


def test_the_proxys_token_is_a_secret_of_its_own(host: Host) -> None:
    """It is no path and no constant; and the proxy's API accepts it."""
    env = host.check_output("cat /srv/jupyterhub/proxy.env")
    token = env.removeprefix("CONFIGPROXY_AUTH_TOKEN=")
    assert len(token) == 64
    int(token, 16)
    routes = host.check_output(
        f'curl -fsS -H "Authorization: token $(cut -d= -f2 /srv/jupyterhub/proxy.env)" {PROXY_API}/api/routes'
    )
    assert "/" in json.loads(routes)
    assert host.run("runuser -u nobody -- cat /srv/jupyterhub/proxy.env").rc != 0


def test_no_part_of_it_has_a_port(host: Host) -> None:
    ports = {line.split()[3].rpartition(":")[2] for line in host.check_output("ss -Hltn").splitlines()}
    assert ports <= {"22"}


def test_each_directory_lets_in_its_two_ends_alone(host: Host) -> None:
    who = host.check_output(
        "cd /run/coursehub && stat -c '%n %a %U %G' front proxy-api hub work servers door environments"
    )
    assert who.splitlines() == [
        "front 2710 coursehub-proxy www-data",
        "proxy-api 700 coursehub-proxy coursehub-proxy",
        "hub 2710 root coursehub-proxy",
        "work 2710 root coursehub-proxy",
        "servers 2710 root coursehub-proxy",
        "door 711 root root",
        "environments 700 root root",
    ]
    for path in ("front/proxy.sock", "proxy-api/api.sock", "hub/hub.sock", "work/work.sock"):
        refused = host.run(f"runuser -u nobody -- curl -sS --unix-socket /run/coursehub/{path} http://x/")
        assert refused.rc == 7, refused


def test_the_door_for_servers_gives_the_api_alone(host: Host) -> None:
    door = f"runuser -u nobody -- {ASK}--unix-socket /run/coursehub/door/hub.sock "
    assert host.check_output(f"{door}http://hub/hub/api/") == "200"
    for address in ("hub/login", "hub/home", "hub/", "", "user/x/", "services/students-work/", "hub/api/../login"):
        assert host.check_output(f"{door}--path-as-is http://hub/{address}") == "404", address


# curl neither stores nor sends a Secure cookie over plain HTTP, which is used here instead of nginx's HTTPS.
SIGN_IN = f"""
cookies=$(curl -fsS -m 20 -D - -o /dev/null {FRONT}/hub/login | sed -n 's/^set-cookie: *\\([^;]*\\).*/\\1/Ip')
test -n "$cookies" || exit
curl -sS -m 60 -o /dev/null -w '%%{{http_code}}' -H "Cookie: $(echo "$cookies" | paste -sd ';')" \\
    -d "$(echo "$cookies" | grep '^_xsrf=')" -d username=%s -d password=%s {FRONT}/hub/login
"""


def test_only_members_of_the_class_get_in(host: Host) -> None:
    """All three have the password; only one is in a group that may sign in."""
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
        f"for i in $(seq 150); do curl -fsS -o /dev/null {FRONT}/hub/api/ 2>/dev/null && exit; sleep 0.2; done; exit 1"
    )
    assert host.check_output("systemctl show -p MainPID --value jupyterhub-proxy") == before != "0"


def test_page_asks_to_wait_while_the_hub_is_down(host: Host) -> None:
    """With a page that reloads itself, and a status that no robot takes for the real page."""
    host.check_output("systemctl stop jupyterhub")
    try:
        answer = host.check_output(f"curl -sS -m 20 -i {FRONT}/hub/login")
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
