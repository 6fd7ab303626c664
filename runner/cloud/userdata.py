"""The user-data that a new droplet's cloud-init gets: a pure builder."""

from __future__ import annotations

import yaml


def user_data(*, host_private_key: str, host_public_key: str) -> str:
    """cloud-config that gives the server the host key that the runner knows already.

    So the first connection is verified: no trust on first use. The key stays readable in the cloud's metadata,
    which is why the runner replaces it over that first connection (``runner.servers.access.first_contact``).
    """
    config = {
        "ssh_deletekeys": True,
        "ssh_genkeytypes": [],
        "ssh_keys": {"ed25519_private": host_private_key, "ed25519_public": host_public_key},
        "disable_root": False,
        # The highstate does it once, in its own order; twice would make the two wait for each other.
        "package_update": False,
        "package_upgrade": False,
    }
    return "#cloud-config\n" + yaml.safe_dump(config, sort_keys=False)
