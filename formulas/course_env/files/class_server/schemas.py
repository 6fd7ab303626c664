"""Lab's schemas of settings are checked once, not at each request.

Lab asks for the settings of all extensions when its page opens, and Jupyter checks each of a hundred schemas against
the standard every time: 0.07 CPU seconds of 0.09. A copy of an image has checked them already.
"""

import json
import marshal
from hashlib import blake2b
from pathlib import Path
from typing import Any

from jupyterlab_server import settings_utils

#: Digests of schemas that are valid.
_valid: set[bytes] = set()


def check_once() -> None:
    """Make Jupyter check each schema only the first time. With another version of jupyterlab_server nothing changes."""
    validator: Any = getattr(settings_utils, "Validator", None)
    if not isinstance(validator, type) or issubclass(validator, _Once):
        return
    settings_utils.Validator = type("Validator", (_Once,), {"validator": validator})


class _Once:
    """Stands in for a validator of jsonschema, of which Jupyter uses these two."""

    validator: Any

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls.validator(*args, **kwargs)

    @classmethod
    def check_schema(cls, schema: Any) -> None:
        """Check a schema that was not checked before. Raises what the validator raises."""
        digest = blake2b(marshal.dumps(schema, 0)).digest()
        if digest not in _valid:
            cls.validator.check_schema(schema)
            _valid.add(digest)


def check_all(share: Path) -> None:
    """Check the schemas of Lab and its extensions in ``share`` (share/jupyter) now, without what overrides them."""
    check_once()
    for folder in ("lab/schemas", "labextensions"):
        for path in share.joinpath(folder).rglob("*.json"):
            if "schemas" in path.parts and path.name != "package.json":
                settings_utils.Validator.check_schema(json.loads(path.read_text(encoding="utf-8")))
