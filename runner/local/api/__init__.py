"""The parts of the DigitalOcean API v2 that coursehub uses, for machines on this host.

Formats, status codes and messages follow the provider's published description; a contract test checks every answer
against it. https://docs.digitalocean.com/reference/api/digitalocean/
"""

from runner.local.api.app import make_app

__all__ = ["make_app"]
