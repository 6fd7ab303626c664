"""A mount namespace with a copy of /etc, in which accounts can be made."""

from __future__ import annotations

import os
import subprocess

import pytest

ENTER = """
set -e
scratch=$1; shift
mount --make-rprivate /
cp -a /etc "$scratch/etc"
mount --bind "$scratch/etc" /etc
mount -t tmpfs tmpfs /home
mkdir -p /var/lib/coursehub
mount -t tmpfs tmpfs /var/lib/coursehub
"$@"
if [ -n "${AFTER:-}" ]; then sh -c "$AFTER"; fi
"""
needs_root = pytest.mark.skipif(
    os.getuid() != 0
    or subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode != 0,
    reason="accounts are made in a mount namespace of the test's own: needs root",
)
