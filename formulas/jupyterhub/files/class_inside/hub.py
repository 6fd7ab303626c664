"""JupyterHub with a door for the class's servers beside its own socket, which is the proxy's."""

from typing import Any
from urllib.parse import urlparse

from jupyterhub.app import JupyterHub
from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.ioloop import PeriodicCallback
from tornado.routing import RuleRouter
from traitlets import Integer

from class_inside.closing import let_the_proxy_close
from class_inside.door import Door, open_door
from class_inside.places import Places

# Milliseconds.
MINUTE = 60_000


class ClassHub(JupyterHub):
    """Opens its doors before it begins, so that no server waits for it longer than it must."""

    name = "jupyterhub"
    former_port = Integer(
        8081, config=True, help="Where servers of an older coursehub, which run since before sockets, ask the hub."
    )
    _door: Door
    _former: HTTPServer | None = None
    _watch: PeriodicCallback | None = None

    async def start(self) -> None:
        """Start."""
        let_the_proxy_close(HTTP1Connection)
        self._door = open_door(self.tornado_application, Places().door, self.hub.base_url)
        self._keep_former_servers()
        await super().start()

    def service_from_spec(self, spec: dict[str, Any], from_config: bool = False) -> Any:
        """Take a service at a socket too: JupyterHub 6.1 speaks to one, but refuses its address."""
        address = urlparse(spec.get("url") or "")
        if address.scheme != "http+unix":
            return super().service_from_spec(spec, from_config=from_config)
        service = super().service_from_spec({**spec, "url": "http://localhost"}, from_config=from_config)
        service.orm.server.proto, service.orm.server.ip = address.scheme, address.hostname
        self.db.commit()
        return service

    def _keep_former_servers(self) -> None:
        """Answer servers that still speak TCP, until the last of them has stopped: students are at work in them."""
        if not self._former_servers():
            return
        self._former = HTTPServer(RuleRouter([(rf"{self.hub.base_url}api(?:/.*)?", self.tornado_application)]))
        try:
            self._former.listen(self.former_port, "127.0.0.1")
        except OSError as problem:
            self.log.warning("Servers that run since before sockets cannot reach the hub: %s", problem)
            return
        self._watch = PeriodicCallback(self._end_former, MINUTE)
        self._watch.start()

    def _end_former(self) -> None:
        if self._former is not None and self._watch is not None and not self._former_servers():
            self._former.stop()
            self._watch.stop()

    def _former_servers(self) -> list[Any]:
        spawners = (spawner for user in self.users.values() for spawner in user.spawners.values())
        return [spawner for spawner in spawners if spawner.server is not None and spawner.server.proto == "http"]


main = ClassHub.launch_instance

if __name__ == "__main__":
    main()
