"""Language servers are looked for where one may be: jupyter-lsp's own look costs each start a seventh of a second."""

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

#: What jupyter-lsp knows: programs, Python modules, and directories of R's and node's packages.
PROGRAMS = ("basedpyright-langserver", "jedi-language-server", "julia", "pyrefly", "texlab")
MODULES = ("pylsp", "pyls")
PLACES = ("/usr/lib/R/site-library/languageserver", "/usr/local/lib/R/site-library/languageserver")
NODE = ("/usr/lib/node_modules", "/usr/local/lib/node_modules")


def may_be_there() -> bool:
    """Whether any of them may be installed."""
    return (
        any(shutil.which(program) for program in PROGRAMS)
        or any(find_spec(module) for module in MODULES)
        or any(Path(place).is_dir() for place in (*PLACES, *NODE))
    )


def look_only_where_needed(config: Any) -> None:
    """Join it to the server's configuration."""
    config.LanguageServerManager.autodetect = may_be_there()
