"""Says in Lab that the server stops soon because nobody uses it, and lets its owner keep it."""

import grp
import json
import os
import pwd
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from jupyter_server.base.handlers import APIHandler
from tornado import web

#: After how many seconds without use the hub stops a server: ``{"seconds": 7200, "groups": {Unix group: seconds}}``.
#: 0 is never. Read each time, so that a change restarts nobody's server.
SETTINGS = Path("/etc/jupyter/class_idle.json")
#: Seconds before the stop from which Lab says so; with a short time the last third of it.
WARN = 600


def limit(groups: Iterable[str], settings: Path = SETTINGS) -> int:
    """Return after how many seconds without use the server of a member of ``groups`` is stopped; 0 is never."""
    try:
        known = json.loads(settings.read_text(encoding="utf-8"))
        found = [int(known["groups"][group]) for group in groups if group in known["groups"]]
        return max(found, default=int(known["seconds"]))
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def minutes_left(unused: float, seconds: int) -> int | None:
    """Return in how many minutes a server is stopped that nobody has used for ``unused`` seconds; None if not soon.

    ``seconds`` is the limit.
    """
    left = seconds - unused
    if not seconds or left > min(WARN, seconds / 3):
        return None
    return max(round(left / 60), 0)


def own_groups() -> list[str]:
    """Return the names of the owner's Unix groups, as the culler looks them up (class_inside/idle_times.py).

    This process itself keeps the groups of its start, even if its owner gets or loses a role.
    """
    try:
        owner = pwd.getpwuid(os.getuid())
    except KeyError:
        return []
    numbers = os.getgrouplist(owner.pw_name, owner.pw_gid)
    return [group.gr_name for group in grp.getgrall() if group.gr_gid in numbers]


class Idle(APIHandler):
    """``GET`` answers {minutes} until the stop, null if the server does not stop soon; ``POST`` is a person's use."""

    @web.authenticated
    def get(self) -> None:
        """Answer from the time of the last use. Lab asks by itself, and reading is no use."""
        unused = (datetime.now(UTC) - self.serverapp.web_app.last_activity()).total_seconds()
        self.finish(json.dumps({"minutes": minutes_left(unused, limit(own_groups()))}))

    @web.authenticated
    async def post(self) -> None:
        """Count as use (class_server/activity.py), and tell the hub now: its next look may come before our report."""
        self.finish("{}")
        for apps in self.serverapp.extension_manager.extension_apps.values():
            for app in apps:
                # JupyterHub's part of this server.
                if hasattr(app, "notify_activity"):
                    await app.notify_activity()
