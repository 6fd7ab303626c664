"""Configuration of Jupyter Server for every student of the course. Made by Salt."""

import asyncio
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from jupyterhub.singleuser.extension import JupyterHubIdentityProvider
from tornado.web import HTTPError
from tornado.websocket import WebSocketHandler

SETTINGS = json.loads(r"""{{ settings | json }}""")
# For class_pull, class_server and the other packages there.
sys.path.append(SETTINGS["lib"])

from class_server.activity import count_use  # noqa: E402
from class_server.exports import offer  # noqa: E402
from class_server.inherited import listen_on_inherited  # noqa: E402
from class_server.kernels import use_class_kernels  # noqa: E402
from class_server.languages import look_only_where_needed  # noqa: E402
from class_server.layout import forget_after_a_kill  # noqa: E402
from class_server.memory import spare_the_server  # noqa: E402
from class_server.programs import prepare  # noqa: E402
from class_server.ready import start_kernels_soon  # noqa: E402
from class_server.schemas import check_once  # noqa: E402
from class_server.sockets import end_abandoned  # noqa: E402
from class_server.without_ipython import spare_ipython  # noqa: E402


class ClassKernelManager(AsyncMappingKernelManager):
    """Reports a computing kernel as activity.

    JupyterHub's idle culler uses the time of the last message, and a long computation sends none (jupyterhub issue
    1498). class_server/activity.py limits for how long it counts.
    """

    @property
    def last_kernel_activity(self) -> datetime:
        """Return the current time while a kernel computes, otherwise the time of the last message (UTC)."""
        kernels = map(self.get_kernel, self.list_kernel_ids())
        busy = any(getattr(kernel, "execution_state", None) == "busy" for kernel in kernels)
        return datetime.now(UTC) if busy else self._last_kernel_message

    @last_kernel_activity.setter
    def last_kernel_activity(self, moment: datetime) -> None:
        self._last_kernel_message = moment


class Sessions:
    """Lets a person stay in this server as long as the hub permits it, not as long as a page stays open.

    JupyterHub asks about a session every five minutes, and about an open kernel or terminal never again. A person who
    signed out, is no teacher any more, or copied the cookies could continue there.
    """

    # Seconds until an ended session is closed.
    EVERY = 10
    # Seconds that a kernel or terminal may take to open.
    OPENING = 60

    def __init__(self) -> None:
        self.owner = os.environ.get("JUPYTERHUB_USER", "")
        self._ask = JupyterHubIdentityProvider.get_user
        self._asked: dict[str, tuple[float, bool]] = {}
        # The event loop itself keeps no strong reference to tasks.
        self._tasks: set[Any] = set()

    def watch(self) -> None:
        """Wrap JupyterHub's own check of who it is."""
        sessions = self

        async def get_user(provider: JupyterHubIdentityProvider, handler: Any) -> Any:
            user = await sessions._ask(provider, handler)
            if user is None:
                return None
            try:
                if not await sessions.may_stay(provider.hub_auth, handler):
                    return None
            except HTTPError:
                # The hub is restarting: the owner's work must not wait for that.
                if user.username != sessions.owner:
                    raise
            if isinstance(handler, WebSocketHandler):
                task = asyncio.get_running_loop().create_task(sessions.see_out(provider.hub_auth, handler))
                sessions._tasks.add(task)
                task.add_done_callback(sessions._tasks.discard)
            return user

        JupyterHubIdentityProvider.get_user = get_user

    async def may_stay(self, hub_auth: Any, handler: Any) -> bool:
        """Return whether the hub accepts a session's token; ask at most once in EVERY seconds. Raises HTTPError."""
        token = hub_auth.get_token(handler)
        when, may = self._asked.get(token, (0.0, False))
        if time.monotonic() - when < self.EVERY:
            return may
        user = await hub_auth.user_for_token(token, use_cache=False, sync=False)
        may = bool(user) and bool(hub_auth.check_scopes(hub_auth.access_scopes, user))
        self._asked[token] = (time.monotonic(), may)
        return may

    async def see_out(self, hub_auth: Any, handler: Any) -> None:
        """Close the connection to a kernel or terminal when its session has ended; the kernel continues."""
        began, opened = time.monotonic(), False
        while True:
            await asyncio.sleep(self.EVERY)
            if handler.ws_connection is None:
                if opened or time.monotonic() - began > self.OPENING:
                    return
                continue
            opened = True
            try:
                if not await self.may_stay(hub_auth, handler):
                    handler.close(1008, "no longer allowed")
                    return
            except HTTPError:
                # The hub is restarting.
                continue


Sessions().watch()

c = get_config()  # type: ignore[name-defined]  # noqa: F821
c.ServerApp.kernel_manager_class = ClassKernelManager
c.ServerApp.sock = listen_on_inherited()
count_use(SETTINGS["kernels"]["busy_counts_for"])
end_abandoned(c)
offer(c, Path(SETTINGS["lib"]).parent)
prepare(SETTINGS["lib"])
# Sockets in the student's own directory. Other students could reach a kernel's ports on loopback.
c.KernelManager.transport = "ipc"
c.AsyncMappingKernelManager.cull_idle_timeout = SETTINGS["kernels"]["cull_idle_after"]
c.AsyncMappingKernelManager.cull_connected = SETTINGS["kernels"]["cull_connected"]
c.AsyncMappingKernelManager.cull_busy = False
# Nobody reads the metrics, and they would be computed each second.
c.ResourceUseDisplay.enable_prometheus_metrics = False
use_class_kernels(c)
start_kernels_soon(c, SETTINGS["image"], **SETTINGS["kernels"]["ready"])
look_only_where_needed(c)
spare_ipython(c)
spare_the_server(c)
forget_after_a_kill()
check_once()
for name, traits in SETTINGS["server"].items():
    c[name].update(traits)
