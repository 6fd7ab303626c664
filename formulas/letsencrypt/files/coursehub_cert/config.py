"""The configuration that Salt wrote: which names, from which CA, and how."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from coursehub_cert import places

HTTP, DNS = "http", "dns"


@dataclasses.dataclass(frozen=True)
class Config:
    """The formula's pillar key. `live` is the link that web servers read; `dns_wait` and `ttl_wait` are seconds.

    A certificate of the last server is used if it is valid for more than `carried_days`.
    `challenge` is how we prove to the CA that the names are ours: `http` or `dns`. The commands `open_dns` and
    `close_dns` open and close the firewall while a certificate is ordered by `dns`.
    """

    names: tuple[str, ...]
    email: str
    directory: str
    addresses: tuple[str, ...]
    webroot: str
    live: str
    reload: tuple[str, ...]
    dns_wait: int
    ttl_wait: int
    carried_days: int
    challenge: str
    open_dns: tuple[str, ...]
    close_dns: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Config:
        """Parse the file that Salt wrote; raises ValueError with the reason."""
        try:
            raw: dict[str, Any] = json.loads(path.read_text())
            lists = {key: tuple(raw[key]) for key in ("names", "addresses", "reload", "open_dns", "close_dns")}
            config = cls(**{**raw, **lists})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}: {error}; apply the state letsencrypt again") from None
        if config.challenge not in (HTTP, DNS):
            raise ValueError(f"{path}: challenge is {HTTP} or {DNS}, not {config.challenge}")
        if config.challenge == HTTP and any(name.startswith("*") for name in config.names):
            raise ValueError(f"{path}: a name with * needs challenge {DNS}")
        return config

    @property
    def lineage(self) -> Path:
        """Return certbot's directory for this certificate, named after the first name."""
        return places.LETSENCRYPT / "live" / self.names[0]
