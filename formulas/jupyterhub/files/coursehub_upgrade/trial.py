"""Tries a new version of the hub beside the one that serves.

The states write the new version into copies of the hub's directories: systemd mounts the copies over the originals for
the units of the trial alone. So the trial runs with the same paths, units and restrictions as later, and nothing that
serves changes. It has its own sockets, in a directory like /run/coursehub, and a copy of the database. nginx does not
know it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from coursehub_upgrade import database, phase
from coursehub_upgrade.config import Config
from coursehub_upgrade.programs import UpgradeError, quietly, run
from coursehub_upgrade.trees import mirror

Report = Callable[[str], None]

#: The comment field of the trial's account. An account without it is never touched.
MARK = "made for a trial by coursehub"
STATES, SERVER = "coursehub-trial-states", "coursehub-trial-server"
#: The trial's units, by the unit whose copy each is.
UNITS = {"jupyterhub-proxy": "coursehub-trial-proxy", "jupyterhub": "coursehub-trial-hub"}
#: The group of the hub's proxy.
PROXY = "coursehub-proxy"
#: Where systemd finds them; nothing there survives a boot.
RUNTIME_UNITS = Path("/run/systemd/system")
#: Seconds: for the states, for the database's migration, for sign-in, server and kernel, and for the trial's units.
STATES_SECONDS, MIGRATION, LOOK, LONGEST = 1500, 300, 240, 900
#: What a person's server does not need.
HUBS_OWN = frozenset(map(Path, ("/etc/jupyterhub", "/etc/pam.d", "/etc/systemd/system", "/etc/tmpfiles.d")))
#: Bytes that a trial needs beside new environments.
LEAST_ROOM = 500 << 20

#: Read by the trial's hub in place of its configuration, which it includes.
SETTINGS = """
from pathlib import Path

from class_inside.places import Places
from class_inside.spawner import ClassSpawner

load_subconfig("/etc/jupyterhub/{real}")  # noqa: F821
ClassSpawner.places = Places(Path("{sockets}"))
c.SystemdSpawner.unit_name_template = "{server}"  # noqa: F821
c.SystemdSpawner.unit_extra_properties = {{  # noqa: F821
    **c.SystemdSpawner.unit_extra_properties,  # noqa: F821
    "BindReadOnlyPaths": {mounts},
    "RuntimeMaxSec": "{longest}",
}}
c.ClassAuthenticator.local_accounts = c.ClassAuthenticator.allowed_groups = {{"{account}"}}  # noqa: F821
# Services that stop or start servers have no business here.
kept = [one for one in c.JupyterHub.services if one["name"] in ("route-sync", "students-work")]  # noqa: F821
names = {{one["name"] for one in kept}}
c.JupyterHub.services = kept  # noqa: F821
c.JupyterHub.load_roles = [  # noqa: F821
    role for role in c.JupyterHub.load_roles if names.issuperset(role.get("services", ()))  # noqa: F821
]
"""
REAL = "jupyterhub_config_real.py"

MIGRATE = """
import logging, sys
from jupyterhub import dbutil
dbutil.upgrade_if_needed(sys.argv[1], backup=False, log=logging.getLogger())
"""


def need_room(config: Config, *, new_environments: bool) -> None:
    """Refuse a trial, a saved version or a migration for which the disk has no room. Raises UpgradeError."""
    size = config.database.stat().st_size if config.database.exists() else 0
    needed = LEAST_ROOM + 4 * size
    if new_environments:
        # uv unpacks into its cache and copies from there.
        needed += 2 * sum(_bytes(link.resolve()) for link in _served(config))
    free = shutil.disk_usage(config.place).free
    if free < needed:
        raise UpgradeError(
            f"the server's disk has {free >> 20} MB free, and an upgrade needs {needed >> 20} MB; nothing was changed; "
            "make room, or take a bigger size"
        )


def _served(config: Config) -> list[Path]:
    return [config.hub / "hub/current", config.hub / "proxy/current", config.course / "env"]


def _bytes(directory: Path) -> int:
    return int(run(["du", "-s", "-B1", directory], seconds=300).split()[0]) if directory.is_dir() else 0


def states(config: Config) -> str:
    """Let the states that the runner shipped write the new version into copies; returns Salt's JSON."""
    for path in config.copied:
        copy = config.copy_of(path)
        copy.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if path.is_dir():
            mirror(path, copy, config.parents)
        else:
            copy.mkdir(mode=0o755)
    _copy_state(config)
    package = config.salt / "salt_state.tgz"
    total = run(["sha256sum", package]).split()[0]
    argv = [
        *("systemd-run", "--quiet", "--wait", "--pipe", "--collect", f"--unit={STATES}"),
        *(f"--property=BindPaths={line}" for line in _mounts(config)),
        *("--", "python3", str(config.salt / "salt-call"), "--retcode-passthrough", "--local", "--out", "json"),
        *("-l", "quiet", "-c", str(config.salt), "--", "state.pkg", str(package), "test=False", f"pkg_sum={total}"),
        "hash_type=sha256",
    ]
    with allowed(config):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=STATES_SECONDS, check=False)
    return done.stdout


def _copy_state(config: Config) -> None:
    """Copy the hub's secrets and its database, which is then migrated."""
    copy = config.copy_of(config.state)
    copy.mkdir(mode=0o700, parents=True)
    if not config.state.is_dir():
        return
    for path in config.state.iterdir():
        # Without older copies of the database.
        if path.is_file() and not path.name.startswith(config.database.name):
            mirror(path, copy / path.name)
    if config.database.exists():
        database.copy(config.database, config.copy_of(config.database))


def _mounts(config: Config) -> list[str]:
    """What the trial's units see at the original paths, as systemd writes it."""
    copies = [*config.copied, config.state]
    lines = [f"{config.copy_of(path)}:{path}" for path in copies]
    # Existing environments are not copied.
    lines += [f"{path}:{path}" for path in config.environments()]
    return [*lines, f"{config.sockets}:/run/coursehub"]


def trial(config: Config, host: str, report: Report) -> dict[str, Any]:
    """Migrate the copy of the database, start the new hub on it, and use it as a student. Raises UpgradeError."""
    facts: dict[str, Any] = {"seconds": {}}
    copy = config.copy_of(config.database)
    if copy.exists():
        report("the database, on a copy")
        facts["database"] = [database.revision(copy)]
        began = time.monotonic()
        _migrate(config)
        facts["seconds"]["database"] = round(time.monotonic() - began, 1)
        facts["database"].append(database.revision(copy))
        database.forget_servers(copy)
    open_for_proxy(config)
    password = secrets.token_urlsafe(24)
    report("starting the new hub beside the old one")
    with _account(config, password), _units(config):
        report("sign-in, server and kernel in the new hub")
        facts["seconds"] |= _look(config, host, password)
    return facts


def _python(config: Config) -> list[str]:
    """The new hub's Python, in the trial's view of the file system."""
    return [
        *("systemd-run", "--quiet", "--wait", "--pipe", "--collect", f"--unit={STATES}"),
        *(f"--property=BindPaths={line}" for line in _mounts(config)),
        f"--property=Environment=PATH={config.hub}/hub/current/bin:/usr/bin:/bin",
        f"--property=RuntimeMaxSec={LONGEST}",
        *("--", f"{config.hub}/hub/current/bin/python", "-B"),
    ]


def _migrate(config: Config) -> None:
    try:
        run([*_python(config), "-c", MIGRATE, f"sqlite:///{config.database}"], seconds=MIGRATION)
    except UpgradeError as error:
        raise UpgradeError(f"the hub's database cannot be migrated: {error}") from error


def _look(config: Config, host: str, password: str) -> dict[str, float]:
    """Use the trial's hub as a student; returns the seconds of each step."""
    asked = {
        "socket": str(config.sockets / "front/proxy.sock"),
        "host": host,
        "account": config.account,
        "password": password,
    }
    program = Path(__file__).with_name("look.py")
    try:
        said = run([*_python(config), program], text=json.dumps(asked), seconds=LOOK)
    except UpgradeError as error:
        raise UpgradeError(f"{str(error).removeprefix('systemd-run: ')}{_last_words()}") from error
    found: dict[str, float] = json.loads(said)
    return found


def _last_words() -> str:
    """What the trial's hub logged last as an error."""
    units = [word for unit in (*UNITS.values(), SERVER) for word in ("-u", unit)]
    try:
        said = run(["journalctl", *units, "-o", "cat", "--no-pager", "-n", "60", "--since=-10min"])
    except UpgradeError:
        return ""
    bad = [line for line in said.splitlines() if line.startswith("[E ") or "Error" in line]
    return f"; the new hub's log says: {' '.join(bad[-1].split())[:200]}" if bad else ""


@contextlib.contextmanager
def _account(config: Config, password: str) -> Iterator[None]:
    """An account like a student's for the duration of the block. Its password is only here."""
    _remove_account(config)
    # An older coursehub has fewer groups. To sign in, the account's own group is enough.
    groups = [name for name in config.groups if quietly(["getent", "group", name])]
    run(
        [
            *("useradd", "--create-home", "--user-group", "--shell", "/bin/bash", "--comment", MARK),
            *("--groups", ",".join(groups), config.account),
        ]
    )
    try:
        run(["chpasswd"], text=f"{config.account}:{password}\n")
        yield
    finally:
        _remove_account(config)


def _remove_account(config: Config) -> None:
    entry = subprocess.run(["getent", "passwd", config.account], capture_output=True, text=True, check=False).stdout
    if not entry or entry.split(":")[4] != MARK:
        return
    quietly(["systemctl", "stop", f"{SERVER}.service"])
    quietly(["pkill", "-KILL", "-u", config.account])
    quietly(["userdel", "--remove", "--force", config.account])


@contextlib.contextmanager
def _units(config: Config) -> Iterator[None]:
    """The new hub and its proxy, with the trial's files, for the duration of the block."""
    written = config.copy_of(Path("/etc/systemd/system"))
    settings = config.copy_of(Path("/etc/jupyterhub"))
    (settings / "jupyterhub_config.py").rename(settings / REAL)
    mounts = [f"{config.copy_of(path)}:{path}" for path in config.copied if path not in HUBS_OWN]
    mounts += [f"{path}:{path}" for path in config.environments()]
    mounts.append(f"{config.sockets}/door:/run/coursehub/door")
    text = SETTINGS.format(
        real=REAL,
        sockets=config.sockets,
        server=SERVER,
        mounts=json.dumps(mounts),
        longest=LONGEST,
        account=config.account,
    )
    descriptor = os.open(settings / "jupyterhub_config.py", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    try:
        for unit, name in UNITS.items():
            (RUNTIME_UNITS / f"{name}.service.d").mkdir(parents=True, exist_ok=True)
            (RUNTIME_UNITS / f"{name}.service.d/trial.conf").write_text(_drop_in(config))
            shutil.copyfile(written / f"{unit}.service", RUNTIME_UNITS / f"{name}.service")
        run(["systemctl", "daemon-reload"])
        for name in UNITS.values():
            try:
                run(["systemctl", "start", f"{name}.service"], seconds=150)
            except UpgradeError as error:
                raise UpgradeError(f"the new hub does not start{_last_words()}") from error
        yield
    finally:
        _remove_units()


def _drop_in(config: Config) -> str:
    secrets_of_state = sorted(config.copy_of(config.state).glob("*.env"))
    log = config.trial / "log"
    log.mkdir(mode=0o700, exist_ok=True)
    lines = [
        "[Service]",
        # Those of the serving hub would be marked as started now.
        "ExecStartPre=",
        "EnvironmentFile=",
        *(f"EnvironmentFile={path}" for path in secrets_of_state),
        "LogsDirectory=",
        *(f"BindPaths={line}" for line in _mounts(config)),
        f"BindPaths={log}:/var/log/coursehub",
        f"ReadWritePaths={config.sockets}",
        "Restart=no",
        f"RuntimeMaxSec={LONGEST}",
        "TimeoutStartSec=120",
    ]
    return "\n".join(lines) + "\n"


def _remove_units() -> None:
    names = [f"{name}.service" for name in (SERVER, *UNITS.values(), STATES)]
    quietly(["systemctl", "stop", *names])
    quietly(["systemctl", "reset-failed", *names])
    for name in UNITS.values():
        shutil.rmtree(RUNTIME_UNITS / f"{name}.service.d", ignore_errors=True)
        (RUNTIME_UNITS / f"{name}.service").unlink(missing_ok=True)
    quietly(["systemctl", "daemon-reload"])


def move_environments(config: Config) -> list[str]:
    """Move the trial's new environments to their places, each in one step. Nothing points at them yet."""
    moved = []
    for parent in config.parents:
        for path in sorted(config.copy_of(parent).glob("*")):
            place = parent / path.name
            if path.is_symlink() or not (path / ".complete").exists() or (place / ".complete").exists():
                continue
            parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            shutil.rmtree(place, ignore_errors=True)
            path.rename(place)
            moved.append(str(place))
    run(["sync", "--file-system", config.hub], seconds=300)
    return moved


def clear(config: Config) -> None:
    """Remove everything of a trial; may be repeated."""
    _remove_units()
    _remove_account(config)
    # Faster than Python's own way: a trial that failed has an environment's twenty thousand files.
    quietly(["rm", "-rf", "--one-file-system", config.trial, config.closed], LONGEST)
    config.allowed.unlink(missing_ok=True)
    if phase.read(config.place)[0] == phase.TRYING:
        phase.write(config.place, phase.IDLE)


def begin(config: Config) -> None:
    """Note that a trial runs, and make its directories."""
    phase.write(config.place, phase.TRYING)
    for directory in (config.trial, config.trial / "files"):
        directory.mkdir(mode=0o700)
    config.closed.mkdir(mode=0o700)
    config.sockets.mkdir(mode=0o755)


def open_for_proxy(config: Config) -> None:
    """Let the proxy enter the directory around the trial's sockets. The account's server sees its door by a mount.

    Anybody may enter the door itself, as the hub's own. But this hub's database is a copy, with everybody's tokens.
    """
    shutil.chown(config.closed, group=PROXY)
    config.closed.chmod(0o710)


@contextlib.contextmanager
def allowed(config: Config) -> Iterator[None]:
    """Let the states change the hub's version for the duration of the block."""
    config.allowed.touch(mode=0o600)
    try:
        yield
    finally:
        config.allowed.unlink(missing_ok=True)
