"""What must not be read in git: a course's secrets, the vault that encrypts them, and the look for what slipped in."""

from runner.secrets.values import Secrets
from runner.secrets.vault import MESSAGE, Vault

__all__ = ["MESSAGE", "Secrets", "Vault"]
