"""Make the hub put its routes into the proxy. The units of both run this after their start.

A restarted proxy has no routes, and the hub itself checks only every few minutes. If the hub is not up, there is
nothing to do: it checks when it starts.
"""

import http.client
import os
import socket
import sys
import time

from class_inside.ask import ask
from class_inside.places import Places

SECONDS = 10


def main(address: str) -> None:
    """Wait for the proxy, then send a POST to ``address`` of the hub."""
    places = Places()
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(places.proxy_api))
            break
        except OSError as problem:
            if time.monotonic() > deadline:
                sys.exit(f"the proxy did not listen at {places.proxy_api} within {SECONDS} s ({problem})")
            time.sleep(0.05)
    token = {"Authorization": f"token {os.environ['ROUTE_SYNC_TOKEN']}", "Content-Length": "0"}
    try:
        status = ask(places.hub, "POST", address, token, SECONDS)
    except (OSError, http.client.HTTPException):
        print("the hub is not up; it looks at its routes when it starts")
        return
    if status >= http.client.BAD_REQUEST:
        sys.exit(f"the hub refused to look at its routes: HTTP {status}")


if __name__ == "__main__":
    main(sys.argv[1])
