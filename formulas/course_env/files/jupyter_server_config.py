"""Jupyter Server as every student of the course gets it. Made by Salt."""

import asyncio
import json
import os
import time
from datetime import UTC, datetime, timedelta

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from jupyterhub.services.auth import HubOAuth
from jupyterhub.singleuser.extension import JupyterHubIdentityProvider
from tornado.web import HTTPError
from tornado.websocket import WebSocketHandler

SETTINGS = json.loads(r"""{{ settings | json }}""")
# Seconds that the hub's word on who may come in here is believed.
RIGHT_SECONDS = 5
# A websocket waits for its kernel before it opens.
OPENING_SECONDS = 60


class ClassKernelManager(AsyncMappingKernelManager):
    """Tells the hub that a computing kernel is activity.

    JupyterHub's idle culler goes by the time of the last message, and a long computation sends none
    (jupyterhub issue 1498).
    """

    @property
    def last_kernel_activity(self) -> datetime:
        """Return now while a kernel computes, else when the last message came (UTC)."""
        now = datetime.now(UTC)
        limit = SETTINGS["kernels"]["busy_counts_for"]
        for kernel_id in self.list_kernel_ids():
            kernel = self.get_kernel(kernel_id)
            if getattr(kernel, "execution_state", None) != "busy":
                continue
            if not limit or now - kernel.last_activity < timedelta(seconds=limit):
                return now
        return self._last_kernel_message

    @last_kernel_activity.setter
    def last_kernel_activity(self, moment: datetime) -> None:
        self._last_kernel_message = moment


visits: set[asyncio.Task] = set()
ask_who = JupyterHubIdentityProvider.get_user


async def get_user(self: JupyterHubIdentityProvider, handler: WebSocketHandler) -> object:
    """Say who asks, as ever; a visitor's websocket is watched from then on."""
    first = not hasattr(handler, "_jupyterhub_user")
    user = await ask_who(self, handler)
    visitor = user is not None and user.username != os.environ.get("JUPYTERHUB_USER")
    if first and visitor and isinstance(handler, WebSocketHandler):
        visit = asyncio.create_task(end_with_right(self.hub_auth, handler))
        visits.add(visit)
        visit.add_done_callback(visits.discard)
    return user


async def end_with_right(hub: HubOAuth, handler: WebSocketHandler) -> None:
    """Close a visitor's websocket when the hub lets them in no more; by itself it is asked at the opening alone."""
    token, session = hub.get_token(handler), hub.get_session_id(handler)
    began, opened = time.monotonic(), False
    while True:
        await asyncio.sleep(RIGHT_SECONDS)
        if handler.ws_connection is None:
            if opened or time.monotonic() - began > OPENING_SECONDS:
                return
            continue
        opened = True
        try:
            user = await hub.user_for_token(token, session_id=session, sync=False)
        except HTTPError:
            # The hub is away for a moment.
            continue
        if not (user and hub.check_scopes(hub.access_scopes, user)):
            handler.close(1008, "no longer allowed")


# JupyterHub puts its own class over any that is configured here.
JupyterHubIdentityProvider.get_user = get_user

c = get_config()  # noqa: F821
c.HubOAuth.cache_max_age = RIGHT_SECONDS
c.ServerApp.kernel_manager_class = ClassKernelManager
# Sockets in the student's own directory: no other student can reach a kernel's ports on loopback.
c.KernelManager.transport = "ipc"
c.AsyncMappingKernelManager.cull_idle_timeout = SETTINGS["kernels"]["cull_idle_after"]
c.AsyncMappingKernelManager.cull_connected = SETTINGS["kernels"]["cull_connected"]
c.AsyncMappingKernelManager.cull_busy = False
for name, traits in SETTINGS["server"].items():
    c[name].update(traits)
