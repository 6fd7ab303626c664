"""The local cloud: the provider's API on this host, with systemd-nspawn machines as droplets.

This module exports what the rest of the runner uses. A cloud belongs to a state directory. The names of everything that
it creates on the host are derived from that directory, so several clouds do not conflict.
"""

from runner.local.backup_place import ensure as backup_place
from runner.local.below import set_names
from runner.local.host import Report, install_packages, why_unavailable
from runner.local.images import SUITES, need_room
from runner.local.removing import remove_forgotten, stop
from runner.local.starting import ensure_running, prepare_image
from runner.local.state import LocalCloud, LocalCloudStatus, Machine, find, holder_of, status

__all__ = [
    "SUITES",
    "LocalCloud",
    "LocalCloudStatus",
    "Machine",
    "Report",
    "backup_place",
    "ensure_running",
    "find",
    "holder_of",
    "install_packages",
    "need_room",
    "prepare_image",
    "remove_forgotten",
    "set_names",
    "status",
    "stop",
    "why_unavailable",
]
