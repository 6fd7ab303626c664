"""The settings of a certificate whose names are proved by DNS."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

OWN = frozenset({"192.0.2.10"})
NAMES = ("hub.example.org", "*.hub.example.org")


def write(cert: SimpleNamespace, tmp_path: Path, **changes: Any) -> None:
    raw = {
        "names": NAMES, "email": "p@example.org", "directory": "https://ca.example.org/dir",
        "addresses": sorted(OWN), "webroot": str(tmp_path / "www"), "live": str(tmp_path / "ssl" / "hub"),
        "reload": [], "dns_wait": 0, "ttl_wait": 0, "carried_days": 30, "challenge": "dns",
        "open_dns": ["touch", str(tmp_path / "open")], "close_dns": ["rm", str(tmp_path / "open")],
    }  # fmt: skip
    cert.places.CONFIG.write_text(json.dumps({**raw, **changes}))
