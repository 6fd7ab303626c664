"""Base images: made once with mmdebstrap, shared by all local clouds of this host, never changed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from runner.errors import CoursehubError
from runner.files import write_whole
from runner.local.host import Report, locked, run
from runner.local.identity import CACHE_ROOT, DATA_ROOT

SUITES = {"debian-12-x64": "bookworm", "debian-13-x64": "trixie"}

# As small as possible, but with what a provider's Debian image has.
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "udev", "libpam-systemd", "openssh-server", "python3", "iproute2",
    "iputils-ping", "ca-certificates", "sudo", "cloud-init", "locales", "procps", "netbase", "curl",
)  # fmt: skip

CLOUD_CONFIG = """\
# One data source in the list: cloud-init need not look for others, which costs seconds at boot.
datasource_list: [NoCloud]
# The network is there before the machine boots.
network: {config: disabled}
# As in the provider's images: root takes the keys of the create call, no user is made.
disable_root: false
users: []
locale: C.UTF-8
"""

# Set here, because cloud-init's ssh_pwauth would restart the SSH server during the first boot.
SSHD_CONFIG = "PasswordAuthentication no\n"

# Files that each machine makes itself at its first boot.
REMOVE = (
    "etc/ssh/ssh_host_*",
    "etc/resolv.conf",
    "etc/hostname",
    "var/cache/apt/*.bin",
    "var/log/*.log",
    "var/log/apt/*",
)

#: Bytes that must be free when a machine is made.
MIN_FREE_BYTES = 2 * 1024**3
#: Bytes that must be free when one is ordered: base image, packages, both environments.
ORDER_BYTES = 4 * 1024**3


def base_image(slug: str, report: Report) -> Path:
    """The directory of a base image, built now if it is not in the cache (half a minute).

    Raises CoursehubError for an unknown image, a full disk, or a failed mmdebstrap.
    """
    suite = SUITES.get(slug)
    if suite is None:
        raise CoursehubError(f"there is no image {slug!r}; the local cloud has {', '.join(SUITES)}")
    target = CACHE_ROOT / f"{suite}-{_recipe_key()}"
    for directory in (CACHE_ROOT, DATA_ROOT):
        directory.mkdir(parents=True, exist_ok=True)
    need_room(MIN_FREE_BYTES)
    if target.is_dir():
        return target
    with locked(CACHE_ROOT / f"{suite}.lock"):
        if not target.is_dir():
            report(f"building the base image {slug} with mmdebstrap (about half a minute, once)")
            _build(suite, target)
    return target


def need_room(needed: int = ORDER_BYTES) -> None:
    """Refuse a machine that this computer has no space for: a disk that fills up half-way is worse than no machine.

    ``needed`` is in bytes. Raises CoursehubError.
    """
    for directory in (CACHE_ROOT, DATA_ROOT):
        there = next(one for one in (directory, *directory.parents) if one.is_dir())
        free = shutil.disk_usage(there).free
        if free < needed:
            raise CoursehubError(
                f"no space for a machine: {there} has {free / 1024**3:.1f} GiB free of the {needed / 1024**3:.1f} that "
                "one needs; make room there, or use cloud: digitalocean"
            )


def _recipe_key() -> str:
    recipe = json.dumps([PACKAGES, CLOUD_CONFIG, SSHD_CONFIG, REMOVE])
    return hashlib.sha256(recipe.encode()).hexdigest()[:10]


def _build(suite: str, target: Path) -> None:
    work = CACHE_ROOT / f".{suite}.building"
    if work.exists():
        shutil.rmtree(work)
    argv = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", "--quiet"]
    argv += [f"--include={','.join(PACKAGES)}", *_host_apt_options(), suite, str(work)]
    mirror = host_mirror()
    # With a teacher's umask, students could not read the machine's files.
    run(
        [*argv, *_sources(mirror, suite)] if mirror else argv,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        umask=0o022,
    )
    _finish(work)
    work.rename(target)


def host_mirror() -> dict[str, str]:
    """The addresses of Debian's archive and security archive in this host's apt sources, if it is a Debian."""
    listing = run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"],
        check=False,
    )
    found: dict[str, str] = {}
    for line in listing.splitlines():
        uri, release, component = line.split()
        name = uri.rstrip("/").rsplit("/", 1)[-1]
        if component != "main":
            continue
        if name == "debian-security" and release.endswith("-security"):
            found.setdefault("security", uri)
        elif name == "debian":
            found.setdefault("main", uri)
    return found if "main" in found and "security" in found else {}


def _sources(mirror: dict[str, str], suite: str) -> list[str]:
    main, security = mirror["main"], mirror["security"]
    return [f"deb {main} {suite} main", f"deb {main} {suite}-updates main", f"deb {security} {suite}-security main"]


def _host_apt_options() -> list[str]:
    """The proxy in this host's apt configuration, which the machines then need too."""
    options = []
    for line in run(["apt-config", "dump"], check=False).splitlines():
        if line.startswith(("Acquire::http::Proxy ", "Acquire::https::Proxy ")):
            options.append(f"--aptopt={line.rstrip(';')}")
    return options


def _finish(root: Path) -> None:
    for pattern in REMOVE:
        for path in root.glob(pattern):
            path.unlink() if not path.is_dir() else shutil.rmtree(path)
    # Empty, not absent: absent means "first boot" to systemd, which would then apply presets again.
    (root / "etc/machine-id").write_text("")
    (root / "var/lib/dbus/machine-id").unlink(missing_ok=True)
    write_whole(root / "etc/cloud/cloud.cfg.d/90_local_cloud.cfg", CLOUD_CONFIG)
    write_whole(root / "etc/ssh/sshd_config.d/50-cloud-init.conf", SSHD_CONFIG)
