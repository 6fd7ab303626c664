"""Search for language servers only if one may be installed: jupyter-lsp's own search takes a seventh of a second.

Without one, packages that want to hear its messages are not looked for either. That would read a file of each package.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jupyter_lsp import LanguageServerManager

#: What jupyter-lsp can find: programs, Python modules, and directories of R's and node's packages.
PROGRAMS = ("basedpyright-langserver", "jedi-language-server", "julia", "pyrefly", "texlab")
MODULES = ("pylsp", "pyls")
PLACES = ("/usr/lib/R/site-library/languageserver", "/usr/local/lib/R/site-library/languageserver")
NODE = ("/usr/lib/node_modules", "/usr/local/lib/node_modules")


def may_be_there() -> bool:
    """Return whether any language server may be installed."""
    return (
        any(shutil.which(program) for program in PROGRAMS)
        or any(find_spec(module) for module in MODULES)
        or any(Path(place).is_dir() for place in (*PLACES, *NODE))
    )


def look_only_where_needed(config: Any) -> None:
    """Add this to the server's configuration."""
    config.LanguageServerManager.autodetect = may_be_there()
    look = LanguageServerManager.init_listeners

    def init_listeners(manager: LanguageServerManager) -> None:
        if manager.language_servers:
            look(manager)

    LanguageServerManager.init_listeners = init_listeners
