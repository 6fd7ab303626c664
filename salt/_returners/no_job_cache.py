"""A job cache for this computer that stores nothing.

salt-ssh writes each return into ``master_job_cache``, whatever ``job_cache`` says: diffs of files, names of accounts,
and for ``pillar.items`` the whole pillar.
"""

from __future__ import annotations

from typing import Any

import salt.utils.jid

#: Salt puts it into a returner when it loads one.
__opts__: dict[str, Any]


def prep_jid(nocache: bool = False, passed_jid: str | None = None) -> str:  # noqa: ARG001
    """Return the job's id."""
    return passed_jid or str(salt.utils.jid.gen_jid(__opts__))


def save_load(jid: str, load: dict[str, Any], minions: list[str] | None = None) -> None:
    """Store nothing of the request."""


def returner(ret: dict[str, Any]) -> None:
    """Store nothing of the return."""


def get_load(jid: str) -> dict[str, Any]:  # noqa: ARG001
    """Return nothing: no job is stored."""
    return {}
