"""JupyterHub with a second socket, the door, for people's servers. Its own socket is for the proxy."""

from typing import Any
from urllib.parse import urlparse

from jupyterhub.app import JupyterHub
from tornado.http1connection import HTTP1Connection

from class_inside.closing import let_the_proxy_close
from class_inside.door import Door, open_door
from class_inside.one_line import OneLine
from class_inside.places import Places


class ClassHub(JupyterHub):
    """Opens the door before it starts, so that no server has to wait longer than necessary."""

    name = "jupyterhub"
    _log_formatter_cls = OneLine
    _door: Door

    async def start(self) -> None:
        """Open the door, then start as JupyterHub does."""
        let_the_proxy_close(HTTP1Connection)
        self._door = open_door(self.tornado_application, Places().door, self.hub.base_url)
        await super().start()

    def service_from_spec(self, spec: dict[str, Any], from_config: bool = False) -> Any:
        """Accept a service on a socket too: JupyterHub 6.1 can connect to one, but refuses its address."""
        address = urlparse(spec.get("url") or "")
        if address.scheme != "http+unix":
            return super().service_from_spec(spec, from_config=from_config)
        service = super().service_from_spec({**spec, "url": "http://localhost"}, from_config=from_config)
        service.orm.server.proto, service.orm.server.ip = address.scheme, address.hostname
        self.db.commit()
        return service


main = ClassHub.launch_instance

if __name__ == "__main__":
    main()
