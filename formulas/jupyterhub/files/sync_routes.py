"""Have the hub put its routes into a proxy that has just started; run by the proxy's unit.

A restarted proxy knows no routes, and the hub by itself looks only every few minutes. When the hub is not up there is
nothing to do: it looks when it starts.
"""

# The address stands in the unit.
# ruff: noqa: S310

import os
import socket
import sys
import time
import urllib.error
import urllib.request

SECONDS = 10

api_port, url = int(sys.argv[1]), sys.argv[2]
deadline = time.monotonic() + SECONDS
while True:
    try:
        socket.create_connection(("127.0.0.1", api_port), timeout=1).close()
        break
    except OSError:
        if time.monotonic() > deadline:
            sys.exit(f"the proxy did not listen on port {api_port} within {SECONDS} s")
        time.sleep(0.05)
request = urllib.request.Request(
    url, data=b"", method="POST", headers={"Authorization": f"token {os.environ['ROUTE_SYNC_TOKEN']}"}
)
try:
    urllib.request.urlopen(request, timeout=SECONDS).close()
except urllib.error.HTTPError as problem:
    sys.exit(f"the hub refused to look at its routes: {problem}")
except OSError:
    print("the hub is not up; it looks at its routes when it starts")
