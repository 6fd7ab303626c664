"""The idle culler over the hub's Unix socket, with a time for each role.

jupyterhub-idle-culler itself only uses TCP and has one time for all.
"""

import json
import socket
import sys
from typing import Any

from jupyterhub_idle_culler import IdleCuller
from tornado.netutil import Resolver
from traitlets.config import Config

from class_inside.idle_times import IdleTimes, arbiter
from class_inside.places import Places


class HubResolver(Resolver):
    """Resolve every name to the hub's socket: the culler connects to nothing else."""

    def initialize(self) -> None:
        """Accept no options."""

    async def resolve(self, *_: Any) -> list[tuple[int, Any]]:
        """Return the hub's socket."""
        return [(socket.AF_UNIX, str(Places().hub))]


def main() -> None:
    """Run the culler. Arguments: the hub's base URL, IdleTimes as JSON, then the culler's own."""
    Resolver.configure(HubResolver)
    base_url, times = sys.argv[1], IdleTimes(**json.loads(sys.argv[2]))
    config = Config({"IdleCuller": {"cull_arbiter_hook": arbiter(times)}})
    argv = [f"--url=http://localhost{base_url}hub/api", f"--timeout={times.shortest}", *sys.argv[3:]]
    IdleCuller.launch_instance(argv, config=config)


if __name__ == "__main__":
    main()
