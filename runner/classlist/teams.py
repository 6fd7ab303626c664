"""Turns an LMS's team names into names of Unix groups."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata

from anyascii import anyascii

#: Maximum length of a team's short name (runner/course/people.py).
LENGTH = 23
_DIGEST = 5
#: What Moodle and others write for somebody who is in no group.
_NONE = frozenset({"no groups", "no group", "none", "keine gruppen", "aucun groupe", "sin grupos", "无分组", "-"})


def names_in(text: str) -> list[str]:
    """The teams in a cell, separated by commas, semicolons or bars."""
    parts = (" ".join(part.split()) for part in re.split(r"[,;|、]", text))
    return list(dict.fromkeys(part for part in parts if part and part.casefold() not in _NONE))


def short(name: str) -> str:
    """The short name of a team; the same name always gives the same result.

    A name in plain letters and digits that is not too long is used as it is. Any other name loses something, so a few
    letters of its digest distinguish it from names that lose the same: "Team Ä" from "Team A", "第一组" from "第二组",
    "Mechanics Project Group 1" from "2". Two names can still collide ("Team 1" and "Team-1"); then the list is refused.
    """
    text = unicodedata.normalize("NFC", " ".join(name.split())).casefold()
    slug = re.sub(r"[^a-z0-9]+", "-", anyascii(text).lower()).strip("-")
    if not slug[:1].isalpha():
        slug = f"group-{slug}".strip("-")
    whole = re.fullmatch(r"[a-z0-9]+(?:[ _-][a-z0-9]+)*", text) is not None
    if whole and len(slug) <= LENGTH:
        return slug
    digest = base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:_DIGEST]
    # People recognise their team by the number at the end, so it is kept.
    number = re.search(r"-\d{1,4}$", slug)
    tail = f"{number[0] if number else ''}-{digest}"
    return f"{slug[: number.start() if number else None][: LENGTH - len(tail)].rstrip('-')}{tail}"


def is_made_up(name: str, short: str) -> bool:
    """Whether nobody could guess the short name from the name."""
    return short != re.sub(r"[ _]", "-", " ".join(name.split()).casefold())
