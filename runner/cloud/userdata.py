"""Builds the user-data for a new droplet's cloud-init."""

from __future__ import annotations

import yaml


def user_data(*, host_private_key: str, host_public_key: str) -> str:
    """cloud-config that gives the server a host key that the runner knows already.

    So the first connection is verified, without trust on first use. The key stays readable in the cloud's metadata, so
    the runner replaces it during that first connection (``runner.servers.access.first_contact``).
    """
    config = {
        "ssh_deletekeys": True,
        "ssh_genkeytypes": [],
        "ssh_keys": {"ed25519_private": host_private_key, "ed25519_public": host_public_key},
        "disable_root": False,
        # The highstate updates packages itself. If both did it, one would wait for the other.
        "package_update": False,
        "package_upgrade": False,
    }
    return "#cloud-config\n" + yaml.safe_dump(config, sort_keys=False)
