"""What git must not contain in clear: a course's secrets, the vault that encrypts them, the search for leaks."""

from runner.secrets.values import Secrets
from runner.secrets.vault import MESSAGE, Vault

__all__ = ["MESSAGE", "Secrets", "Vault"]
