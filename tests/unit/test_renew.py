"""coursehub-renew: which services run replaced files, with a small /proc, and which of them are restarted."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.loading import load

pytestmark = pytest.mark.unit
SCRIPT = Path(__file__).resolve().parents[2] / "formulas/base/files/coursehub_renew.py"
OLD = "7f0 r-xp 00000000 08:01 12  /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)\n"
NEW = "7f0 r-xp 00000000 08:01 13  /usr/lib/x86_64-linux-gnu/libssl.so.3\n"


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return load(SCRIPT)


def process(proc: Path, pid: int, cgroup: str, maps: str = NEW, exe: str = "/usr/sbin/nginx") -> None:
    home = proc / str(pid)
    home.mkdir()
    (home / "cgroup").write_text(cgroup)
    (home / "maps").write_text(maps)
    (home / "exe").symlink_to(exe)


@pytest.mark.parametrize("hierarchy", ["9:name=systemd:", "0::"])
def test_a_replaced_library_or_program_is_found(module: ModuleType, tmp_path: Path, hierarchy: str) -> None:
    process(tmp_path, 1, f"8:pids:/system.slice/x.service\n{hierarchy}/system.slice/nginx.service\n", OLD)
    process(tmp_path, 2, f"{hierarchy}/system.slice/nginx.service\n", NEW)
    process(tmp_path, 3, f"{hierarchy}/system.slice/ssh.service\n", NEW, "/usr/sbin/sshd (deleted)")
    process(tmp_path, 4, f"{hierarchy}/system.slice/cron.service\n")
    assert module.stale(tmp_path) == {
        "nginx.service": {"/usr/lib/x86_64-linux-gnu/libssl.so.3"},
        "ssh.service": {"/usr/sbin/sshd"},
    }


@pytest.mark.parametrize(
    "cgroup",
    [
        "0::/class.slice/jupyter-alice.service\n",
        "0::/user.slice/user-1000.slice/user@1000.service/system.slice/nginx.service\n",
        "0::/class.slice/jupyter-mallory.service/system.slice/nginx.service\n",
        "0::/\n",
    ],
)
def test_people_are_left_alone_whatever_their_cgroup(module: ModuleType, tmp_path: Path, cgroup: str) -> None:
    process(tmp_path, 7, cgroup, OLD)
    assert module.stale(tmp_path) == {}


@pytest.mark.parametrize("name", ["/memfd:x", "/tmp/deleted.so", "/dev/zero", "/home/mallory/usr/lib/x.so", "/SYSV00"])
def test_a_deleted_temporary_file_is_no_upgrade(module: ModuleType, tmp_path: Path, name: str) -> None:
    process(tmp_path, 7, "0::/system.slice/nginx.service\n", f"7f0 rw-s 0 0:1 2  {name} (deleted)\n")
    assert module.stale(tmp_path) == {}


@pytest.fixture
def systemctl(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl that records its arguments; its answer about a unit is in a file with the unit's name."""
    log = tmp_path / "called"
    program = tmp_path / "systemctl"
    program.write_text(
        f'#!/bin/sh\necho "$@" >>{log}\nfor unit; do :; done\n'
        f'[ "$1" = show ] && cat {tmp_path}/"$unit" 2>/dev/null\n[ "$1 $unit" != "reload broken.service" ]\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(module, "LOCK", tmp_path / "no-lock")
    return log


def test_the_hub_is_restarted_last_and_some_never(module: ModuleType, systemctl: Path) -> None:
    for unit, said in {
        "apt.service": "Type=oneshot\nTransient=no\n",
        "run-1.service": "Type=simple\nTransient=yes\n",
        **dict.fromkeys(
            ("jupyterhub.service", "nginx.service", "ssh.service", "dbus.service"), "Type=simple\nTransient=no\n"
        ),
    }.items():
        (systemctl.parent / unit).write_text(said)
    units = ["jupyterhub.service", "dbus.service", "run-1.service", "apt.service", "getty@tty1.service", "ssh.service"]
    assert list(module.restartable({unit: set() for unit in [*units, "nginx.service"]})) == [
        "nginx.service",
        "ssh.service",
        "jupyterhub.service",
    ]


def test_a_service_whose_configuration_is_wrong_goes_on(
    module: ModuleType, systemctl: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An old nginx serves the class; one that does not start serves nobody."""
    for unit in ("broken.service", "well.service"):
        (systemctl.parent / unit).write_text("Type=simple\nTransient=no\nCanReload=yes\n")
    left = {"broken.service": {"/usr/lib/libssl.so.3"}, "well.service": {"/usr/lib/libssl.so.3"}}

    def stale() -> dict[str, set[str]]:
        tried = "try-restart well.service" in systemctl.read_text() if systemctl.exists() else False
        return {unit: files for unit, files in left.items() if not (tried and unit == "well.service")}

    monkeypatch.setattr(module, "stale", stale)
    assert module.main() == 1
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "broken.service could not be restarted: it still ran libssl.so.3",
        "well.service restarted: it still ran libssl.so.3",
    ]
    assert "try-restart broken.service" not in systemctl.read_text()


def test_it_sees_another_process_hold_dpkgs_lock(module: ModuleType, tmp_path: Path) -> None:
    lock = tmp_path / "lock-frontend"
    assert not module.locked(lock)
    lock.touch()
    assert not module.locked(lock)
    code = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        holder.stdout.readline()
        assert module.locked(lock)
        holder.communicate("\n")
    assert not module.locked(lock)
    # The question changed nothing.
    with lock.open("a") as handle:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
