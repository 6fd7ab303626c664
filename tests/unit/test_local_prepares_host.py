"""Base images and packages: the calls of mmdebstrap and apt, and what is left if they fail. Without root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner import local
from runner.errors import CoursehubError
from runner.local import host, images
from runner.local.identity import Identity
from runner.local.store import Droplet, Store
from tests.support.programs import Programs

pytestmark = pytest.mark.unit

MMDEBSTRAP = """
root=
for word; do case "$word" in */.*.building) root=$word;; esac; done
mkdir -p "$root/etc/ssh/sshd_config.d" "$root/etc/cloud/cloud.cfg.d" "$root/var/lib/dbus" "$root/var/log/apt" \\
    "$root/var/cache/apt"
for name in etc/ssh/ssh_host_rsa_key etc/resolv.conf etc/hostname etc/machine-id var/lib/dbus/machine-id \\
    var/log/dpkg.log var/log/apt/term.log var/cache/apt/pkgcache.bin etc/passwd; do echo x >"$root/$name"; done
"""
APT_GET = """
cat <<END
http://mirror.example/debian/ bookworm main
http://mirror.example/debian/ bookworm contrib
http://mirror.example/debian/ bookworm-updates main
http://mirror.example/debian-security/ bookworm-security main
http://other.example/tools/ stable main
END
"""
APT_CONFIG = """
echo 'Acquire::http::Proxy "http://proxy.example:3128";'
echo 'Acquire::http::Proxy::mirror.example "DIRECT";'
echo 'APT::Architecture "amd64";'
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    monkeypatch.setattr(images, "CACHE_ROOT", tmp_path / "cache")
    monkeypatch.setattr(images, "DATA_ROOT", tmp_path / "data")
    monkeypatch.setattr(images, "MIN_FREE_BYTES", 1)
    made = Programs.install(tmp_path / "bin", monkeypatch)
    made.add("mmdebstrap", MMDEBSTRAP)
    made.add("apt-get", APT_GET)
    made.add("apt-config", APT_CONFIG)
    return made


def test_image_is_built_once_with_the_hosts_mirror_and_proxy(programs: Programs) -> None:
    said: list[str] = []
    image = images.base_image("debian-13-x64", said.append)
    assert images.base_image("debian-13-x64", said.append) == image
    assert said == ["building the base image debian-13-x64 with mmdebstrap (about half a minute, once)"]
    (call,) = programs.calls("mmdebstrap")
    assert call[-3:] == [
        "deb http://mirror.example/debian/ trixie main",
        "deb http://mirror.example/debian/ trixie-updates main",
        "deb http://mirror.example/debian-security/ trixie-security main",
    ]
    assert call[-5] == "trixie"
    assert [word for word in call if word.startswith("--aptopt")] == [
        '--aptopt=Acquire::http::Proxy "http://proxy.example:3128"'
    ]
    (include,) = (word for word in call if word.startswith("--include="))
    assert {"openssh-server", "cloud-init", "systemd-sysv", "python3"} <= set(include.split("=")[1].split(","))


def test_an_image_has_nothing_that_two_machines_must_not_share(programs: Programs) -> None:
    del programs
    image = images.base_image("debian-12-x64", print)
    left = {str(path.relative_to(image)) for path in image.rglob("*") if path.is_file()}
    assert left == {
        "etc/passwd",
        "etc/machine-id",
        "etc/cloud/cloud.cfg.d/90_local_cloud.cfg",
        "etc/ssh/sshd_config.d/50-cloud-init.conf",
    }
    assert (image / "etc/machine-id").read_text() == ""
    assert (image / "etc/ssh/sshd_config.d/50-cloud-init.conf").read_text() == "PasswordAuthentication no\n"


def test_host_without_debian_leaves_the_mirror_to_mmdebstrap(programs: Programs) -> None:
    programs.add("apt-get", "echo http://archive.example/ubuntu/ noble main")
    images.base_image("debian-12-x64", print)
    (call,) = programs.calls("mmdebstrap")
    assert call[-2] == "bookworm"
    assert not any(word.startswith("deb ") for word in call)


def test_failed_build_leaves_no_image_and_can_be_repeated(programs: Programs) -> None:
    programs.add(
        "mmdebstrap", MMDEBSTRAP + '\ntouch "$root/half"; echo "E: Unable to fetch some archives" >&2; exit 25'
    )
    with pytest.raises(CoursehubError, match=r"`mmdebstrap .*` failed: E: Unable to fetch some archives"):
        images.base_image("debian-12-x64", print)
    assert [path.name for path in images.CACHE_ROOT.glob("bookworm-*")] == []
    programs.add("mmdebstrap", MMDEBSTRAP)
    assert not (images.base_image("debian-12-x64", print) / "half").exists()


def test_missing_packages_are_named_before_apt_is_asked_for_them(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "PACKAGES", {"sh": "dash", "no-such-program": "mmdebstrap", "/no/such/file": "keyring"})
    said: list[str] = []
    host.install_packages(said.append)
    assert said == ["installing the Debian packages mmdebstrap keyring"]
    update, install = programs.calls("apt-get")
    assert update[0] == "update"
    assert install[0] == "install"
    assert install[-2:] == ["mmdebstrap", "keyring"]
    monkeypatch.setattr(host, "PACKAGES", {"sh": "dash"})
    host.install_packages(said.append)
    assert len(programs.calls("apt-get")) == len(said) + 1 == 2


def test_apt_that_cannot_is_one_line(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "PACKAGES", {"no-such-program": "mmdebstrap"})
    programs.add("apt-get", "echo 'E: Could not get lock /var/lib/dpkg/lock-frontend' >&2; exit 100")
    with pytest.raises(CoursehubError, match=r"`apt-get update -q` failed: E: Could not get lock"):
        host.install_packages(print)


def test_each_reason_against_a_local_cloud_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    alone = Programs.install(tmp_path / "alone", monkeypatch, alone=True)
    reason = host.why_unavailable() or ""
    assert "this host has no apt-get to install them with" in reason
    assert "mmdebstrap" in reason
    alone.add("apt-get")
    assert host.why_unavailable() is None
    alone.add("unshare", "exit 1")
    assert "may not make mounts and network namespaces" in (host.why_unavailable() or "")
    true_uname = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Darwin", *true_uname[1:])))
    assert "it needs Linux" in (host.why_unavailable() or "")


def test_forwarding_is_restored_by_the_last_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IP_FORWARD", "FORWARD_MARK", "DATA_ROOT", "HOST_LOCK"):
        monkeypatch.setattr(host, name, tmp_path / name)
    setting, others = tmp_path / "IP_FORWARD", tmp_path / "DATA_ROOT" / "another"
    setting.write_text("1\n")
    host.forwarding_on()
    host.forwarding_restore()
    assert setting.read_text() == "1\n"
    setting.write_text("0\n")
    host.forwarding_on()
    assert setting.read_text() == "1\n"
    others.mkdir(parents=True)
    host.forwarding_restore()
    assert setting.read_text() == "1\n"
    others.rmdir()
    host.forwarding_restore()
    assert setting.read_text() == "0\n"
    setting.write_text("1\n")
    host.forwarding_restore()
    assert setting.read_text() == "1\n"


def test_status_shows_what_the_account_holds_while_nothing_runs(tmp_path: Path) -> None:
    store = Store(Identity.of(tmp_path).directory / "account.json")
    order = {"size": "s-1vcpu-1gb", "disk": 25, "image": "debian-13-x64", "region": "nyc3", "user_data": ""}
    store.account.droplets.append(
        Droplet(
            id=store.new_id(), name="hub", slot=10, tags=[], public_keys=[], created_at="2026-01-01T00:00:00Z", **order
        )
    )
    store.save()
    status = local.status(tmp_path)
    assert (status.running, status.endpoint) == (False, None)
    assert [(machine.name, machine.status, machine.ip, machine.running) for machine in status.machines] == [
        ("hub", "new", "", False)
    ]
