"""The controller's job cache that keeps nothing.

salt-ssh writes each return into ``master_job_cache``, whatever ``job_cache`` says: differences of files, names of
accounts, and all of the pillar for who types ``pillar.items``.
"""

# Salt puts __opts__ into a returner when it loads it.
# ruff: noqa: F821

import salt.utils.jid


def prep_jid(nocache=False, passed_jid=None):  # noqa: ARG001
    """Return the job's number."""
    return passed_jid or salt.utils.jid.gen_jid(__opts__)


def save_load(jid, load, minions=None):
    """Keep nothing of what was asked for."""


def returner(ret):
    """Keep nothing of what came back."""


def get_load(jid):  # noqa: ARG001
    """Return nothing: no job is known."""
    return {}
