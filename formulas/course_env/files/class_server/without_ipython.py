"""Keep IPython out of servers: Jupyter imports all of it for two small things, and kernels have their own."""

import os
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.paths import jupyter_config_path, jupyter_path
from jupyter_server.extension.config import ExtensionConfigManager
from jupyter_server.services.config.manager import ConfigManager
from traitlets import default


class ClassKernelSpecs(KernelSpecManager):
    """Finds the same kernels. Jupyter's own asks IPython for the last of its directories."""

    @default("kernel_dirs")
    def _kernel_dirs(self) -> list[str]:
        own = Path(os.environ.get("IPYTHONDIR") or "~/.ipython").expanduser()
        return [*jupyter_path("kernels"), str(own / "kernels")]


def only_classic() -> set[str]:
    """Return the enabled server extensions that only Notebook 6 and older know. Raises ValueError, OSError."""
    places = jupyter_config_path()
    classic = ConfigManager(read_config_path=places).get("jupyter_notebook_config").get("NotebookApp", {})
    known: dict[str, bool] = ExtensionConfigManager(read_config_path=places).get_jpserver_extensions()
    return {str(name) for name, wanted in classic.get("nbserver_extensions", {}).items() if wanted} - known.keys()


def spare_ipython(config: Any) -> None:
    """Add this to the server's configuration."""
    config.ServerApp.kernel_spec_manager_class = ClassKernelSpecs
    try:
        needed = bool(only_classic())
    except (AttributeError, OSError, ValueError):
        # A file is wrong. Whoever reads it next says so.
        needed = True
    if not needed:
        # It loads such extensions, and finds settings of their pages, which Lab and Notebook 7 do not read.
        config.ServerApp.jpserver_extensions = {"notebook_shim": False}
