"""Checks where a link to the sign-in page leads after the sign-in.

People who have just signed in trust the next page. If a link could lead to another person's server, that person could
show them any page, such as one that asks for the password again.
"""

from urllib.parse import unquote, urlsplit

# The hub's paths that start or open a server. The next part of the path is the owner's name.
OPENS = ("user", "spawn", "spawn-pending")


def leads_to_others(address: str, base_url: str, name: str) -> bool:
    """Return whether an address of the hub leads to the server of somebody other than ``name``.

    ``base_url`` begins and ends with a slash. The answer is also yes for an address that can be read in two ways.
    """
    path = urlsplit(address).path
    # Decode several times, because a redirect may decode the address before the next one reads it.
    for _ in range(3):
        path = unquote(path)
    if "\\" in path or path != unquote(path) or not path.isprintable():
        return True
    parts = path.removeprefix(base_url).lstrip("/").split("/")
    if any(part in ("", ".", "..") for part in parts[:-1]):
        return True
    if parts[0] == "hub":
        parts = parts[1:]
    return len(parts) > 1 and parts[0] in OPENS and parts[1] != name
