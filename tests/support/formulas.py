"""What a formula works with where no course says anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import salt.utils.dictupdate
import yaml

ROOT = Path(__file__).resolve().parents[2]


def values_of(formula: str) -> dict[str, Any]:
    """The formula's defaults with what pillar/server.sls gives it."""
    defaults = yaml.safe_load((ROOT / "formulas" / formula / "defaults.yaml").read_text(encoding="utf-8"))[formula]
    agreed = yaml.safe_load((ROOT / "pillar" / "server.sls").read_text(encoding="utf-8")).get(formula, {})
    return salt.utils.dictupdate.update(defaults, agreed)
