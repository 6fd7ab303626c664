"""The paths of all sockets. Standard library only: some programs that import this run in the system's Python."""

from pathlib import Path
from urllib.parse import quote

RUN = Path("/run/coursehub")
# Longest path that the kernel accepts (sun_path without its final zero).
LONGEST = 107


class Places:
    """The sockets below one directory. tmpfiles.conf makes the directories and sets who can enter which."""

    def __init__(self, run: Path = RUN) -> None:
        self.front = run / "front" / "proxy.sock"
        self.proxy_api = run / "proxy-api" / "api.sock"
        self.hub = run / "hub" / "hub.sock"
        self.work = run / "work" / "work.sock"
        self.door = run / "door" / "hub.sock"
        self.servers = run / "servers"
        self.environments = run / "environments"

    def server(self, name: str) -> Path:
        """Return the socket of an account's server. Raises ValueError for a name that cannot be in such a path."""
        path = self.servers / f"{name}.sock"
        # JupyterHub stores the path as a host name, and those are in small letters.
        if path.parent != self.servers or str(path) != str(path).lower() or len(str(path).encode()) > LONGEST:
            raise ValueError(f"no socket can be named after the account {name!r}")
        return path


def url_of(path: Path, rest: str = "") -> str:
    """Return a socket's URL for JupyterHub and its proxy; ``rest`` is the path on the server, with its slash."""
    return f"http+unix://{quote(str(path), safe='')}{rest}"
