"""The idle culler, asking the hub over its socket: jupyterhub-idle-culler itself knows only addresses."""

import socket
import sys
from typing import Any

import jupyterhub_idle_culler
from tornado.netutil import Resolver

from class_inside.places import Places


class HubResolver(Resolver):
    """Finds the hub's socket whatever name is asked for: the culler asks nobody else."""

    def initialize(self) -> None:
        """Take nothing."""

    async def resolve(self, *_: Any) -> list[tuple[int, Any]]:
        """Return the one place that there is."""
        return [(socket.AF_UNIX, str(Places().hub))]


def main() -> None:
    """Run it for the hub's base URL, the first argument; the others are its own."""
    Resolver.configure(HubResolver)
    sys.argv[1:2] = [f"--url=http://localhost{sys.argv[1]}hub/api"]
    jupyterhub_idle_culler.main()


if __name__ == "__main__":
    main()
