"""Shows a person's earlier versions in their server, and their teams', read-only, and nobody else's.

Root alone enters where versions are kept. What a unit is shown of them lies on a file system of its own, so there is no
path from one person's to another's, whatever rights a former directory had.
"""

from collections.abc import Iterable, Mapping

Properties = dict[str, str | list[str]]


def shown(properties: Properties, account: str, groups: Iterable[str], settings: Mapping[str, str]) -> Properties:
    """Return a unit's properties with what it is shown; ``settings`` has ``kept``, ``at`` and ``team_prefix``.

    Without ``kept`` there are no earlier versions. Directories that are not there are passed over by systemd.
    """
    kept, at, prefix = settings.get("kept"), settings.get("at"), settings.get("team_prefix")
    if not kept:
        return properties
    teams = [group.removeprefix(prefix) for group in groups if prefix and group.startswith(prefix)]
    places = [(f"home/{account}", "home"), *((f"groups/{team}", f"groups/{team}") for team in teams)]
    return {
        **properties,
        "TemporaryFileSystem": [*properties["TemporaryFileSystem"], f"{at}:ro,mode=0755,nosuid,nodev"],
        "BindReadOnlyPaths": [f"-{kept}/{source}:{at}/{target}" for source, target in places],
    }
