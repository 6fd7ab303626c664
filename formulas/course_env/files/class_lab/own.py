"""The student's own packages, for Lab: list them, list those that do not work, and remove all of them."""

import asyncio
import json

from class_own.place import Place
from jupyter_server.base.handlers import APIHandler
from tornado import web


class OwnPackages(APIHandler):
    """``GET`` lists them, ``DELETE`` removes them. None of them is imported: this is Jupyter's own process."""

    # Lab sends these requests itself.
    _track_activity = False

    @web.authenticated
    async def get(self) -> None:
        """Answer {own, broken, earlier}, lists of lines; ``earlier`` are those of the previous environment."""
        place = Place.here()
        found = await asyncio.to_thread(
            lambda: {"own": place.own(), "broken": place.broken(), "earlier": place.earlier()}
        )
        self.finish(json.dumps(found))

    @web.authenticated
    async def delete(self) -> None:
        """Remove them, also those of earlier environments."""
        try:
            await asyncio.to_thread(Place.here().reset)
        except OSError as problem:
            raise web.HTTPError(500, reason=f"not removed: {problem.strerror}") from problem
        self.set_status(204)
        self.finish()
