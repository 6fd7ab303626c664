"""A repository in which one byte changed."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from coursehub_backup import saving
from coursehub_backup.config import Config
from coursehub_backup.restic import Restic, ResticError

pytestmark = [pytest.mark.unit, pytest.mark.timeout(900)]

PLACES = 100
SEEDS = (1, 2, 3)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_changed_byte_is_found(seed: int, here: tuple[Config, Restic], root: Path) -> None:
    """A byte is changed at 100 places, each by itself; files are chosen by their size, and each kind of file once."""
    config, restic = here
    for number in range(4):
        (root / f"home/nobody/labs/data-{number}").write_bytes(os.urandom(300_000))
        assert saving.save(config, restic, None)
    print(f"seed {seed}")
    missed = [
        str(where) for where in _places(root / "repository", random.Random(seed)) if not _is_found(restic, *where)
    ]
    assert missed == []
    restic.run("check", "--read-data")


def _places(repository: Path, chance: random.Random) -> list[tuple[Path, int, int]]:
    files = sorted(path for path in repository.rglob("*") if path.is_file() and path.parent.name != "locks")
    kinds = {path.relative_to(repository).parts[0]: path for path in files}
    chosen = [*kinds.values(), *chance.choices(files, [path.stat().st_size for path in files], k=PLACES - len(kinds))]
    return [(path, chance.randrange(path.stat().st_size), chance.randrange(1, 256)) for path in chosen]


def _is_found(restic: Restic, path: Path, offset: int, change: int) -> bool:
    good, mode = path.read_bytes(), path.stat().st_mode
    bad = bytearray(good)
    bad[offset] ^= change
    path.chmod(0o600)
    path.write_bytes(bad)
    try:
        restic.run("check", "--read-data")
    except ResticError:
        return True
    finally:
        path.write_bytes(good)
        path.chmod(mode)
    return False
