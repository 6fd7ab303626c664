"""API tokens that nobody can make with the hub's pages or API: root makes them, for tests of a token's rights."""

from __future__ import annotations

import re

from tests.support.hub import Hub

_MAKE = """
cd /srv/jupyterhub && /opt/jupyterhub/hub/current/bin/python - <<'END'
from jupyterhub import orm
db = orm.new_session_factory("sqlite:////srv/jupyterhub/jupyterhub.sqlite")()
user = orm.User.find(db, "{account}")
print(user.new_api_token(scopes=["inherit"], note="made by a test"))
END
"""


def token_with_all_rights(hub: Hub, account: str) -> str:
    """A new API token with all rights of its owner, who must have signed in once."""
    assert re.fullmatch(r"[a-z][a-z0-9_-]*", account)
    return hub.run(_MAKE.replace("{account}", account)).split()[-1]
