"""Says in Lab when a student's disk space is nearly or wholly used up."""

import json
import os
import pwd

from jupyter_server.base.handlers import APIHandler
from tornado import web

from class_lab.space import USAGE, warning


class DiskSpace(APIHandler):
    """``GET`` answers {level, message}: level 0 is nothing to say, 1 nearly used up, 2 used up."""

    # Lab asks by itself.
    _track_activity = False

    @web.authenticated
    def get(self) -> None:
        """Answer from what was written down last; a server without limits has nothing to say."""
        level, message = warning(USAGE / f"{pwd.getpwuid(os.getuid()).pw_name}.json")
        self.finish(json.dumps({"level": level, "message": message}))
