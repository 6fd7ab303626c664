"""Sign-in by the password of the local account."""

from typing import Any

from jupyterhub.auth import PAMAuthenticator

from class_signin.accounts import ClassAuthenticator


class ClassPassword(ClassAuthenticator, PAMAuthenticator):
    """PAM's answer for everybody of the class."""

    async def authenticate(self, handler: Any, data: Any = None) -> dict[str, Any] | None:
        """Return who it is and in which groups, or None when the password is wrong or the account locked."""
        # Phones write the first letter as a capital; Unix accounts have none.
        data = {**data, "username": data["username"].strip().lower()}
        username = await PAMAuthenticator.authenticate(self, handler, data)
        return {"name": username, "groups": self.class_groups(username)} if username else None
