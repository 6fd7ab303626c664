"""Check that the hub would start with a configuration file, before that file replaces a working one.

It loads the file as JupyterHub does, refuses traits that no class has, and makes the configured objects, so that it
also finds wrong types. It prints one line for each mistake, and exits with 1 if there is one.
"""

import difflib
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jupyterhub import app, auth, proxy, scopes, spawner
from traitlets import TraitError
from traitlets.config import Config, PyFileConfigLoader
from traitlets.config.configurable import Configurable


def known_classes(hub: app.JupyterHub) -> dict[str, type]:
    """Return the configurable classes by name, including those that the configuration adds."""
    chosen = {hub.authenticator_class, hub.spawner_class, hub.proxy_class}
    found = {}
    built_in = {app.JupyterHub, auth.Authenticator, spawner.Spawner, proxy.ConfigurableHTTPProxy}
    for cls in built_in | set(hub.classes) | chosen:
        found.update({base.__name__: base for base in cls.__mro__ if issubclass(base, Configurable)})
    return found


def misspelt(config: Config, classes: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each class or trait that does not exist."""
    for section, traits in config.items():
        if not isinstance(traits, Config):
            continue
        if section not in classes:
            yield f"no class {section} in JupyterHub{nearest(section, classes)}"
            continue
        allowed = classes[section].class_traits(config=True)
        for trait in traits:
            if trait not in allowed:
                yield f"{section} has no setting {trait}{nearest(trait, allowed)}"


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a hint with the one of ``names`` that was probably meant."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def unknown_scopes(hub: app.JupyterHub) -> Iterator[str]:
    """Yield a line for each scope of load_roles that JupyterHub does not have."""
    for role in hub.load_roles:
        for scope in role.get("scopes", []):
            name = scope.partition("!")[0]
            if name not in scopes.scope_definitions:
                yield f"role {role['name']}: no scope {name}{nearest(name, scopes.scope_definitions)}"


def main(path: str) -> int:
    """Check the file at ``path``; return the process's exit code."""
    # Log lines of the classes may quote the configuration, also its secrets.
    logging.disable(logging.CRITICAL)
    os.environ.setdefault("CONFIGPROXY_AUTH_TOKEN", "only to make the object")
    try:
        config = PyFileConfigLoader(Path(path).name, path=str(Path(path).parent)).load_config()
        hub = app.JupyterHub(config=config)
        problems = list(misspelt(config, known_classes(hub)))
        problems += unknown_scopes(hub)
        hub.authenticator_class(config=config)
        hub.proxy_class(config=config)
        check_spawner(hub.spawner_class, config)
    except Exception as error:
        problems = [" ".join(f"{type(error).__name__}: {error}".split())]
    for problem in problems:
        print(f"hub configuration refused: {problem}", file=sys.stderr)
    return 1 if problems else 0


def check_spawner(cls: Any, config: Config) -> None:
    """Check the spawner's settings without making a spawner, which would need a user and a database."""
    for section in (base.__name__ for base in cls.__mro__):
        for trait, value in config.get(section, {}).items():
            found = cls.class_traits().get(trait)
            if found is None:
                continue
            try:
                found._validate(cls.__new__(cls), value)
            except TraitError as problem:
                raise TraitError(f"{section}.{trait}: {problem}") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
