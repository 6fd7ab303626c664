"""``test_suites.py`` runs the suites through the wrapper, which knows the machine's address."""

import os

if "KITCHEN_INSTANCE" not in os.environ:
    from tests.kitchen.side_by_side import runs  # noqa: F401  # a fixture

    collect_ignore_glob = ["suites/*"]
