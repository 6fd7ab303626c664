"""Return when the hub answers, so that "started" means that students can sign in; fail when it does not."""

# The address stands in the unit.
# ruff: noqa: S310

import sys
import time
import urllib.error
import urllib.request

SECONDS = 100

url = sys.argv[1]
deadline = time.monotonic() + SECONDS
while True:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            sys.exit(0 if answer.status == 200 else 1)
    except (urllib.error.URLError, OSError):
        if time.monotonic() > deadline:
            sys.exit(f"the hub did not answer at {url} within {SECONDS} s")
        time.sleep(0.1)
