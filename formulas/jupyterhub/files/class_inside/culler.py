"""The idle culler over the hub's Unix socket: jupyterhub-idle-culler itself only uses TCP."""

import socket
import sys
from typing import Any

import jupyterhub_idle_culler
from tornado.netutil import Resolver

from class_inside.places import Places


class HubResolver(Resolver):
    """Resolve every name to the hub's socket: the culler connects to nothing else."""

    def initialize(self) -> None:
        """Accept no options."""

    async def resolve(self, *_: Any) -> list[tuple[int, Any]]:
        """Return the hub's socket."""
        return [(socket.AF_UNIX, str(Places().hub))]


def main() -> None:
    """Run the culler. The first argument is the hub's base URL; the others are the culler's own."""
    Resolver.configure(HubResolver)
    sys.argv[1:2] = [f"--url=http://localhost{sys.argv[1]}hub/api"]
    jupyterhub_idle_culler.main()


if __name__ == "__main__":
    main()
