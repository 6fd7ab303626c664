"""The mark in formulas/firewall/files/loopback.nft that identifies who opened a connection is unique."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

RULES = Path(__file__).parents[2] / "formulas/firewall/files/loopback.nft"
WORD = 0xFFFFFFFF


def jhash(key: int, seed: int) -> int:
    """Return the kernel's hash of four bytes (include/linux/jhash.h), as the rules use it."""
    a = b = c = (0xDEADBEEF + 4 + seed) & WORD
    a = (a + key) & WORD
    for bits in (14, 11, 25, 16, 4, 14, 24):
        # The seven steps rotate the operands: c by b, a by c, b by a.
        c = ((c ^ b) - ((b << bits | b >> (32 - bits)) & WORD)) & WORD
        a, b, c = b, c, a
    return b


def test_loopback_marks_no_two_accounts_alike() -> None:
    """The rules, computed for every possible uid of an account. A kernel's own set used 0x50104a1a."""
    found = re.search(r"jhash meta skuid mod (\d+) seed (0x[0-9a-f]+) offset (\d+)", RULES.read_text(encoding="utf-8"))
    assert found
    modulus, seed, offset = int(found[1]), int(found[2], 16), int(found[3])
    marks = {uid: (jhash(uid, seed) * modulus >> 32) + offset for uid in range(1000, 65536)}
    assert marks[1000] == 0x50104A1A
    assert len(set(marks.values())) == len(marks)
    # 1 is the system's, 0 means no mark.
    assert min(marks.values()) > 1
