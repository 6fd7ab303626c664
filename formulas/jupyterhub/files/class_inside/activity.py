"""The time when a person last used their server, as the server reports it.

The proxy only knows the time of the last request, and an open page of Lab sends requests all the time.
"""

from typing import Any

from jupyterhub.proxy import ConfigurableHTTPProxy

#: Seconds between a server's reports to the hub. Much less than the shortest time after which the culler stops a server
#: (five minutes), because unreported activity counts as idle.
REPORTS = 60


class QuietProxy(ConfigurableHTTPProxy):
    """The proxy, without its own times of activity."""

    async def get_all_routes(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        """Return the routes without ``last_activity``, so that the hub uses what servers report."""
        routes: dict[str, Any] = await super().get_all_routes(*arguments, **named)
        for route in routes.values():
            route["data"].pop("last_activity", None)
        return routes
