"""What a suite asks is asked by ``test_suites.py`` through the wrapper, which says where the machine is."""

import os

collect_ignore_glob = [] if "KITCHEN_INSTANCE" in os.environ else ["suites/*"]
