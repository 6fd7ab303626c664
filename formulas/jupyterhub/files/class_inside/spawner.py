"""Start a person's server as a unit behind a Unix socket.

SystemdSpawner itself would give it a TCP port, which any student can take first.
"""

import asyncio
import contextlib
import grp
import os
import pwd
import shlex
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import aiohttp
from jupyterhub import objects
from jupyterhub.httpclient import fetch
from jupyterhub.spawner import SpawnException
from jupyterhub.utils import url_path_join
from systemdspawner import SystemdSpawner
from traitlets import Callable, Dict, Integer, Set, Unicode, default

from class_inside import earlier, idle, units
from class_inside.homes import NoHome, mended
from class_inside.last_words import NO_ACCOUNT, TELL, TRY_AGAIN, Reason, reason
from class_inside.places import Places, url_of
from class_inside.properties import RUNTIME, confined
from class_inside.turns import CGROUPS, ClassMemory, NoRoom, Turns

# Seconds between two requests to a server that does not answer yet. Rarely needed: a request waits in the socket.
AGAIN = 0.2
# Seconds between two checks that a server's socket still exists, and between two questions to systemd.
LOOK, ASK = 2, 30
# With a socket, jupyter_server accepts only this port number, and does not open it.
NO_PORT = 8888


# This many seconds before JupyterHub gives up a start, we give it up: JupyterHub does not know the reason.
SOONER = 5
NO_ROOM = "Try again in some minutes"


class NotStarted(SpawnException):
    """A server did not start. JupyterHub shows ``jupyterhub_message`` to the waiting person, and logs the rest."""

    def __init__(self, account: str, why: Reason) -> None:
        self.jupyterhub_message = f"{why}. Your teacher reads more with 'coursehub logs COURSE {account}'."
        super().__init__(
            self.jupyterhub_message,
            reason="not-started",
            # `coursehub status` reads this. The server's own output stays in its journal.
            log_message=(
                f"the server of {account} did not start{'' if why.quoted else f': {why.why}'}; "
                f"'journalctl -u jupyter-{account}' says why"
            ),
            status_code=500,
        )


class ClassSpawner(SystemdSpawner):
    """SystemdSpawner whose servers listen on sockets that systemd makes for them, in a directory of root's."""

    socket_group = Unicode("coursehub-proxy", config=True, help="The group whose members, the proxy, reach servers.")

    starts_at_once = Integer(2, config=True, help="Servers that start at a time; others wait, and see their place.")
    start_memory = Integer(0, config=True, help="Bytes that a server and its first kernel need; 0: no start waits.")
    makes_room_after = Integer(
        0, config=True, help="Seconds after which an unused server is stopped if others wait; 0: never."
    )
    makes_no_room = Set(config=True, help="Groups whose members' servers are never stopped for others.")
    on_start = Callable(lambda _account: None, config=True, help="Called with the account whose server starts.")
    on_made_room = Callable(
        lambda _account: None, config=True, help="Called with the account whose server was stopped."
    )
    queue_timeout = Integer(600, config=True, help="Seconds that somebody waits for their turn.")
    versions = Dict(config=True, help="Where earlier versions of homes are; see earlier.shown.")

    places = Places()
    # One for all servers, made with the first.
    _turns: "Turns | None" = None
    _unused: "idle.Unused | None" = None
    # The spawners of servers that run or start, by account.
    _all: ClassVar["WeakValueDictionary[str, ClassSpawner]"] = WeakValueDictionary()
    # When systemd last said that it runs (monotonic seconds).
    _ran = float("-inf")
    _starts = False
    # When this start began, and when the server first answered (Unix time); 0 if that was before the hub's own start.
    _began = up = 0.0

    async def start(self) -> str:
        """Start the server and return its URL once it answers. Raises NotStarted, ValueError."""
        self._began = time.time()
        self._starts = True
        self._all[self.user.name] = self
        self.on_start(self.user.name)
        try:
            async with self.turns.turn(self.user.name, self.queue_timeout):
                url = await asyncio.wait_for(self._started(), self._patience)
                self.up = time.time()
                return url
        except NoRoom as problem:
            raise NotStarted(self.user.name, Reason(str(problem), NO_ROOM)) from problem
        except (units.Ended, TimeoutError) as problem:
            await units.stop(self.unit_name)
            why = await reason(self.unit_name, self._began, hidden=[self.api_token])
            if isinstance(problem, TimeoutError):
                why = replace(why, why=f"It did not answer within {self._patience} s. {why.why}")
            raise NotStarted(self.user.name, why) from problem
        except units.UnitError as problem:
            raise NotStarted(self.user.name, Reason(f"The server's system says: {problem}", TRY_AGAIN)) from problem
        except NoHome as problem:
            raise NotStarted(self.user.name, Reason(str(problem), TELL)) from problem
        except KeyError as problem:
            raise NotStarted(self.user.name, NO_ACCOUNT) from problem
        finally:
            self._starts = False

    @property
    def turns(self) -> Turns:
        """The queue that all servers share."""
        if ClassSpawner._turns is None:
            memory = ClassMemory(self.start_memory, self.places.servers, self.slice or "system.slice")
            ClassSpawner._turns = Turns(self.starts_at_once, memory.room, self._make_room)
        return ClassSpawner._turns

    async def _make_room(self) -> None:
        """Stop one unused server, if there is one. The hub notices it as any server's end."""
        try:
            if ClassSpawner._unused is None:
                ClassSpawner._unused = idle.Unused(self.makes_room_after, self.makes_no_room, self._cpu_of)
            everybody = list(self._all.values())
            found = ClassSpawner._unused.find(everybody, datetime.now(UTC)) if self.makes_room_after else None
            if found:
                self.log.info("stopping the unused server of %s: others wait for memory", found.user.name)
                await found.stop()
                self.on_made_room(found.user.name)
        except Exception:
            # The person who waits goes on waiting.
            self.log.exception("no server could be stopped for those who wait for memory")

    @staticmethod
    def _cpu_of(spawner: "ClassSpawner") -> float | None:
        return idle.cpu_seconds(spawner.slice or "system.slice", spawner.unit_name, CGROUPS)

    @property
    def _patience(self) -> int:
        """Seconds for a start whose turn it is. JupyterHub's own time-out counts the queue too."""
        return max(int(self.start_timeout) - int(self.queue_timeout) - SOONER, SOONER)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Tell who waits for a server what is happening, for JupyterHub's page."""
        said = ""
        while self.pending == "spawn":
            queued = self.turns.progress(self.user.name)
            text = queued or "Your server starts."
            if text != said:
                yield {"progress": 10 if queued else 60, "message": text}
            said = text
            await asyncio.sleep(1)

    async def _started(self) -> str:
        person = pwd.getpwnam(self._expand_user_vars(self.username_template))
        socket = self.places.server(self.user.name)
        self.port = NO_PORT
        self._ran = float("-inf")
        # A server that the hub does not know, as after its database was lost, or a failed unit of an earlier one.
        await units.stop(self.unit_name)
        # The last lines of the earlier server are no reason for the end of this one.
        self._began = time.time()
        environment = self.places.environments / f"{self.unit_name}.env"
        own = {"SHELL": self.default_shell, "JUPYTER_RUNTIME_DIR": str(RUNTIME)}
        write_environment(environment, {**self.get_env(), **own})
        try:
            await units.start(
                units.Server(
                    unit=self.unit_name,
                    uid=person.pw_uid,
                    gid=person.pw_gid,
                    home=person.pw_dir,
                    slice=self.slice or "system.slice",
                    socket=socket,
                    socket_group=self.socket_group,
                    environment_file=environment,
                    properties=self.properties(person),
                    argv=[self._expand_user_vars(word) for word in (*self.cmd, *self.get_args())],
                )
            )
            await self.answers(url_of(socket, self.server.base_url))
        finally:
            # systemd has read it by now.
            environment.unlink(missing_ok=True)
        return url_of(socket)

    def properties(self, person: pwd.struct_passwd) -> dict[str, str | list[str]]:
        """Return the unit's properties: its restrictions, its limits, then those of the configuration."""
        found = confined(person.pw_dir, person.pw_uid, person.pw_gid, self.mem_limit) | mended(person.pw_dir)
        groups = [entry.gr_name for entry in grp.getgrall() if person.pw_name in entry.gr_mem]
        found = earlier.shown(found, person.pw_name, groups, self.versions)
        if self.mem_limit is not None:
            found |= {"MemoryAccounting": "yes", "MemoryMax": str(self.mem_limit)}
        if self.cpu_limit is not None:
            found |= {"CPUAccounting": "yes", "CPUQuota": f"{int(self.cpu_limit * 100)}%"}
        for name, value in self.unit_extra_properties.items():
            values = [value] if isinstance(value, str) else value
            found[name] = [self._expand_user_vars(one) for one in values]
        return found

    async def answers(self, url: str) -> None:
        """Wait until the server answers. Raises units.Ended if it has ended.

        The socket exists before the server: a request waits in it, and is refused if the server ends.
        """
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                await fetch(url_path_join(url, "api"), raise_for_status=False, allow_redirects=False)
                return
            if not await units.runs(self.unit_name):
                raise units.Ended(self.unit_name)
            await asyncio.sleep(AGAIN)

    async def stop(self, now: bool = False) -> None:  # noqa: ARG002
        """Stop the server; its socket is removed with it."""
        await units.stop(self.unit_name)

    @default("poll_interval")
    def _looks_often(self) -> int:
        return LOOK

    async def poll(self) -> int | None:
        """Return None while the server runs, as JupyterHub requires.

        The socket disappears at the moment at which the server ends, so systemd need not be asked each time. Until the
        hub notices a crash, it sends people to a server that is gone.
        """
        if not self.places.server(self.user.name).exists():
            return 1
        self._all[self.user.name] = self
        noted = self.server is not None and self.server.proto == "http+unix"
        if not noted and not self._starts:
            # The hub was killed before it stored the server's address. Without this it would try for minutes.
            return 1
        now = time.monotonic()
        if now - self._ran < ASK:
            return None
        if await units.ended(self.unit_name):
            return 1
        self._ran = now
        return None


def write_environment(path: Path, variables: dict[str, str]) -> None:
    """Write the environment file, which only root (systemd) can read: it contains the server's token."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(f"{name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))


def host_without_port(server: Any) -> str:
    """Return a server's address for jupyterhub.objects.Server: a socket has no port."""
    if server.proto == "http+unix" and not server.connect_url:
        return f"{server.proto}://{server.ip}"
    return str(_host(server))


# JupyterHub 6.1 can use sockets, but stores a server's URL as scheme, host and port. For a socket it must leave out the
# port. These five lines belong upstream.
_host = objects.Server.host.fget
objects.Server.host = property(host_without_port)
