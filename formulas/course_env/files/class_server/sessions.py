"""Ends what a person has open here soon after their session has ended at the hub."""

import asyncio
import contextlib
import time
from typing import Any

from tornado.web import HTTPError
from tornado.websocket import WebSocketHandler


class Sessions:
    """Lets a person stay in this server as long as the hub permits it, not as long as a page stays open.

    JupyterHub asks about a session every five minutes, and about an open kernel or terminal never again. A person who
    signed out, is no teacher any more, or copied the cookies could continue there.
    """

    # Seconds until an ended session is closed.
    EVERY = 10
    # Seconds that a kernel or terminal may take to open.
    OPENING = 60

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self._asked: dict[str, tuple[float, bool]] = {}
        self._asking: dict[str, asyncio.Future[bool]] = {}
        # The event loop itself keeps no strong reference to tasks.
        self._tasks: set[Any] = set()

    def watch(self) -> None:
        """Wrap JupyterHub's own check of who it is."""
        # Not before: a copy of an image has a class of its own.
        from jupyterhub.singleuser.extension import JupyterHubIdentityProvider

        sessions, ask = self, JupyterHubIdentityProvider.get_user

        async def get_user(provider: Any, handler: Any) -> Any:
            user = await ask(provider, handler)
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
        when, may = self._asked.get(token, (float("-inf"), False))
        if time.monotonic() - when < self.EVERY:
            return may
        if token not in self._asking:
            asking = asyncio.ensure_future(self._hub_accepts(hub_auth, token))
            self._asking[token] = asking
            asking.add_done_callback(lambda _: self._asking.pop(token, None))
        # All connections of a session wait for one question. If each asked, the class would ask the more often, the
        # slower the hub answers.
        return await asyncio.shield(self._asking[token])

    async def _hub_accepts(self, hub_auth: Any, token: str) -> bool:
        user = await hub_auth.user_for_token(token, use_cache=False, sync=False)
        may = bool(user) and bool(hub_auth.check_scopes(hub_auth.access_scopes, user))
        now = time.monotonic()
        # Older answers are of no use to anybody.
        self._asked = {one: known for one, known in self._asked.items() if now - known[0] < self.EVERY}
        self._asked[token] = (now, may)
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
            # The hub may restart, even in the middle of its answer. Whoever watches must not stop then.
            with contextlib.suppress(Exception):
                if not await self.may_stay(hub_auth, handler):
                    handler.close(1008, "no longer allowed")
                    return
