"""How each provider's account is opened."""

from runner.providers.kind import Kind, Seen
from runner.providers.kinds import KINDS, kind_of
from runner.providers.local import LocalAccount

__all__ = ["KINDS", "Kind", "LocalAccount", "Seen", "kind_of"]
