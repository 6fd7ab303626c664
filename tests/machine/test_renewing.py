"""An upgrade at night: the new nginx and OpenSSL run, and nobody's server ended for it."""

from __future__ import annotations

import contextlib
import json

import pytest

from runner.errors import CoursehubError
from tests.machine.test_hub import OTHER, until
from tests.support.hub import Hub

pytestmark = [pytest.mark.machine, pytest.mark.long, pytest.mark.timeout(900)]

#: Debian 12 has an older build of each, besides the one in its security archive.
OLD = ("nginx", "nginx-common", "openssl", "libssl3")
#: Replaced files that system services still use, as coursehub-renew sees them.
STALE = """python3 -c '
import json, runpy
print(json.dumps(sorted(runpy.run_path("/usr/local/sbin/coursehub-renew")["stale"]())))'"""


def versions(hub: Hub) -> dict[str, str]:
    said = hub.run(f"dpkg-query -W -f '${{Package}} ${{Version}}\\n' {' '.join(OLD)}")
    return dict(line.split() for line in said.splitlines())


def older(hub: Hub, package: str) -> str:
    """The newest version that is older than the one in the security archive."""
    lines = hub.run(f"apt-cache madison {package} | awk '{{print $3}}' | uniq").split()
    return lines[1]


def renewed(hub: Hub) -> bool:
    """Whether the renewal is complete; only D-Bus waits for a reboot."""
    # sshd is among the restarted services.
    with contextlib.suppress(CoursehubError):
        busy = hub.run("systemctl is-active coursehub-renew || true").strip()
        return busy == "inactive" and set(json.loads(hub.run(STALE))) <= {"dbus.service"}
    return False


def test_an_unattended_upgrade_leaves_nothing_old_running(hub12: Hub) -> None:
    """Debian 12's older builds are installed, and unattended-upgrades installs the fixed ones as at night."""
    before = versions(hub12)
    wanted = " ".join(f"{package}={older(hub12, package)}" for package in OLD)
    with contextlib.ExitStack() as stack:
        student = stack.enter_context(hub12.sandbox.client(hub12.document, OTHER))
        # A server that keeps running would have today's environment in other tests.
        stack.callback(student.stop_server)
        student.start_server()
        kernel = stack.enter_context(student.kernel())
        assert kernel.run("x = 41; print(x + 1)") == "42"
        server = hub12.run(f"systemctl show -p MainPID --value jupyter-{OTHER}").strip()

        install = "DEBIAN_FRONTEND=noninteractive apt-get -q -y --allow-downgrades install"
        hub12.run(f"{install} {wanted} </dev/null >/dev/null", 300)
        assert versions(hub12) != before
        until("the older builds run", lambda: renewed(hub12), 180)
        old = hub12.run("systemctl show -p MainPID --value nginx").strip()
        checked = hub12.sandbox.run("check", hub12.course, "--json")
        nginx = next(one for one in json.loads(checked.stdout)["checks"] if one["name"] == "nginx")
        assert not nginx["ok"]
        assert "below" in nginx["detail"]

        hub12.run("unattended-upgrade </dev/null >/dev/null 2>&1", 600)
        assert versions(hub12) == before
        until("the fixed builds run", lambda: renewed(hub12), 180)
        assert hub12.run("systemctl show -p MainPID --value nginx").strip() != old
        assert "restarted: it still ran" in hub12.run("journalctl -u coursehub-renew --no-pager -o cat")

        # People at work were not interrupted.
        assert hub12.run(f"systemctl show -p MainPID --value jupyter-{OTHER}").strip() == server
        until("the hub answers", lambda: student.get("/hub/api/").status_code == 200, 60)
        until("the server answers", lambda: student.get(f"/user/{OTHER}/api/status").status_code == 200, 60)
        with student.kernel() as another:
            assert another.run("print(6 * 7)") == "42"
    assert hub12.sandbox.json("check", hub12.course)["ok"]
    assert hub12.run("systemctl --failed --no-legend --plain") == ""
