"""When somebody last used their server, as the server itself says it; the proxy would say when a page last asked for
something, and an open page of Lab asks all the time."""

from typing import Any

from jupyterhub.proxy import ConfigurableHTTPProxy

#: Seconds between a server's reports to the hub. Much less than the shortest time after which the culler stops one
#: (five minutes): what it does not know yet is idle.
REPORTS = 60


class QuietProxy(ConfigurableHTTPProxy):
    """The proxy, without its own account of who was active."""

    async def get_all_routes(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        """Return the routes as the hub wants them; without ``last_activity`` it goes by what servers report."""
        routes: dict[str, Any] = await super().get_all_routes(*arguments, **named)
        for route in routes.values():
            route["data"].pop("last_activity", None)
        return routes
