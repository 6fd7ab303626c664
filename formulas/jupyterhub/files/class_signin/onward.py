"""Where people go who come back from a sign-in elsewhere."""

from typing import Any

from class_walls.leading import leads_to_others


class Onward:
    """To what they asked for before, unless that is somebody else's server: for handlers that end a sign-in."""

    def get_next_url(self: Any, user: Any = None) -> str:
        """Return the address."""
        address: str = super().get_next_url(user)  # type: ignore[misc]
        if user is not None and leads_to_others(address, self.base_url, user.name):
            return f"{self.hub.base_url}home"
        return address
