"""Where each part listens. Standard library only: system Python runs some of what imports this."""

from pathlib import Path
from urllib.parse import quote

RUN = Path("/run/coursehub")
# The kernel takes no longer path (sun_path without its end).
LONGEST = 107


class Places:
    """The sockets below one directory; tmpfiles.conf makes the directories and says who enters which."""

    def __init__(self, run: Path = RUN) -> None:
        self.front = run / "front" / "proxy.sock"
        self.proxy_api = run / "proxy-api" / "api.sock"
        self.hub = run / "hub" / "hub.sock"
        self.work = run / "work" / "work.sock"
        self.door = run / "door" / "hub.sock"
        self.servers = run / "servers"
        self.environments = run / "environments"

    def server(self, name: str) -> Path:
        """Return where the server of an account listens. Raises ValueError for a name that makes no such path."""
        path = self.servers / f"{name}.sock"
        # JupyterHub keeps the path as a host name, and those are in small letters.
        if path.parent != self.servers or str(path) != str(path).lower() or len(str(path).encode()) > LONGEST:
            raise ValueError(f"no socket can be named after the account {name!r}")
        return path


def url_of(path: Path, rest: str = "") -> str:
    """Return a socket as JupyterHub and its proxy write it; ``rest`` is the path on the server, from its slash on."""
    return f"http+unix://{quote(str(path), safe='')}{rest}"
