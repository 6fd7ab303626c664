"""Wait until the hub answers, so that "started" means that students can sign in; fail if it does not answer."""

import http.client
import sys
import time

from class_inside.ask import ask
from class_inside.places import Places

SECONDS = 100


def main(address: str) -> None:
    """Request ``address`` from the hub until it answers."""
    hub = Places().hub
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            status = ask(hub, "GET", address)
        except (OSError, http.client.HTTPException) as problem:
            status, said = 0, str(problem)
        else:
            said = f"HTTP {status}"
        if status == http.client.OK:
            return
        if time.monotonic() > deadline:
            sys.exit(f"the hub did not answer at {hub} within {SECONDS} s ({said})")
        time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1])
