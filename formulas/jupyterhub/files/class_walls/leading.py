"""Where a link to the sign-in page may lead afterwards.

Whoever has just signed in trusts what they see next. A link that ends at somebody else's server would show them what
its owner likes there, such as a page that asks for the password once more.
"""

from urllib.parse import unquote, urlsplit

# What in the hub begins or opens the server of whom its next part names.
OPENS = ("user", "spawn", "spawn-pending")


def leads_to_others(address: str, base_url: str, name: str) -> bool:
    """Return whether an address of the hub leads to the server of somebody else than ``name``, by any reading of it.

    ``base_url`` begins and ends with a slash. An address that can be read in two ways counts as one that does.
    """
    path = urlsplit(address).path
    # As one redirect may decode it before the next reads it.
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
