"""The hub's configuration, rendered like Salt does, with the formula's defaults."""

import json
from pathlib import Path

import jinja2

from tests.support.formulas import values_of

FILES = Path(__file__).parents[2] / "formulas/jupyterhub/files"
DEFAULTS = values_of("jupyterhub")


def render(folder, **changes):
    """Render the configuration like Salt, with the formula's defaults and ``changes``; return its path."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    environment.filters["json"] = json.dumps
    template = environment.from_string((FILES / "jupyterhub_config.py").read_text())
    folder.mkdir(exist_ok=True)
    path = folder / "jupyterhub_config.py"
    lib = folder / "lib"
    if not lib.exists():
        lib.mkdir()
        for name in (
            "class_inside",
            "class_signin",
            "class_walls",
            "class_work",
            "class_openings",
        ):
            (lib / name).symlink_to(FILES / name)
    path.write_text(template.render(settings={**DEFAULTS, "root": str(folder), **changes}))
    return path
