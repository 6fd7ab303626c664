"""Sign-in by the password of the local account."""

from jupyterhub.auth import PAMAuthenticator

from class_signin.accounts import ClassAuthenticator


class ClassPassword(ClassAuthenticator, PAMAuthenticator):
    """PAM's answer for everybody of the class."""

    def has_password(self, account: str) -> bool:  # noqa: ARG002
        """Everybody's account has one."""
        return True
