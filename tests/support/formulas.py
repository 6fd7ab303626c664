"""The values of a formula without a course."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import salt.utils.dictupdate
import yaml

ROOT = Path(__file__).resolve().parents[2]


def values_of(formula: str) -> dict[str, Any]:
    """The formula's defaults, merged with the values from pillar/server.sls."""
    defaults = yaml.safe_load((ROOT / "formulas" / formula / "defaults.yaml").read_text(encoding="utf-8"))[formula]
    agreed = yaml.safe_load((ROOT / "pillar" / "server.sls").read_text(encoding="utf-8")).get(formula, {})
    return salt.utils.dictupdate.update(defaults, agreed)
