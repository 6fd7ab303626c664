"""The student's own packages, for Lab: what there is, what does not work, and how to be rid of all of them."""

import asyncio
import json

from class_own.place import Place
from jupyter_server.base.handlers import APIHandler
from tornado import web


class OwnPackages(APIHandler):
    """``GET`` tells them, ``DELETE`` removes them. Nothing of them is imported: this is Jupyter's own process."""

    # Lab asks by itself.
    _track_activity = False

    @web.authenticated
    async def get(self) -> None:
        """Answer {own, broken, earlier}, lists of lines; ``earlier`` are those of the environment before."""
        place = Place.here()
        found = await asyncio.to_thread(
            lambda: {"own": place.own(), "broken": place.broken(), "earlier": place.earlier()}
        )
        self.finish(json.dumps(found))

    @web.authenticated
    async def delete(self) -> None:
        """Remove them, those of earlier environments too."""
        try:
            await asyncio.to_thread(Place.here().reset)
        except OSError as problem:
            raise web.HTTPError(500, reason=f"not removed: {problem.strerror}") from problem
        self.set_status(204)
        self.finish()
