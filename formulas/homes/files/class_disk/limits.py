"""How many bytes each owner may use: the course file's limit, or a share of the disk."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from class_disk import btrfs
from class_disk.failing import Failures
from class_disk.owners import Owner, owners

if TYPE_CHECKING:
    from collections.abc import Mapping

    from class_disk.config import Config

#: Shares are rounded down to whole steps, so that one more person seldom changes anybody's limit.
STEP = 256 << 20


def limit_of(owner: Owner, config: Config, total: int, count: int) -> int:
    """The limit of one owner in bytes, on a disk of ``total`` bytes that ``count`` owners share."""
    each = config.given_limit or _share(config, total, count)
    return max(each, total * config.common_percent // 100) if owner.name == "shared" else each


def _share(config: Config, total: int, count: int) -> int:
    """An equal share, within bounds. All shares together leave space for earlier versions."""
    share = total * config.shared_out_percent // 100 // max(count, 1)
    return max(min(share // STEP * STEP, config.each_most), config.each_least)


def set_all(
    config: Config, used: Mapping[int, btrfs.Usage] | None = None, failures: Failures | None = None
) -> list[str]:
    """Set each owner's limit. Returns the names of those whose limit changed.

    Raises OSError; if single owners failed, when all others are done, unless ``failures`` takes their errors.
    """
    found = Failures() if failures is None else failures
    used = btrfs.usage(config.top) if used is None else used
    total, everybody = shutil.disk_usage(config.disk).total, owners(config)
    changed = []
    for owner in everybody:
        with found.of(owner.name, owner.gid):
            # Make the directory now: a student's server that starts before the first version must see later ones.
            (config.history / owner.name).mkdir(parents=True, exist_ok=True)
            wanted = limit_of(owner, config, total, len(everybody))
            known = used.get(btrfs.info(owner.path).number)
            if known is None or known.limit != wanted:
                btrfs.limit(owner.path, wanted)
                changed.append(owner.title)
    if failures is None:
        found.report()
    return changed
