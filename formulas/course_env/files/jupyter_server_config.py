"""Configuration of Jupyter Server for every student of the course. Made by Salt."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

SETTINGS = json.loads(r"""{{ settings | json }}""")
# For class_pull, class_server and the other packages there.
sys.path.append(SETTINGS["lib"])

from class_server.activity import count_use  # noqa: E402
from class_server.exports import offer  # noqa: E402
from class_server.inherited import listen_on_inherited  # noqa: E402
from class_server.kernels import use_class_kernels  # noqa: E402
from class_server.languages import look_only_where_needed  # noqa: E402
from class_server.layout import forget_after_a_kill  # noqa: E402
from class_server.memory import spare_the_server  # noqa: E402
from class_server.programs import prepare  # noqa: E402
from class_server.ready import start_kernels_soon  # noqa: E402
from class_server.schemas import check_once  # noqa: E402
from class_server.sessions import Sessions  # noqa: E402
from class_server.sockets import end_abandoned  # noqa: E402
from class_server.without_ipython import spare_ipython  # noqa: E402


class ClassKernelManager(AsyncMappingKernelManager):
    """Reports a computing kernel as activity.

    JupyterHub's idle culler uses the time of the last message, and a long computation sends none (jupyterhub issue
    1498). class_server/activity.py limits for how long it counts.
    """

    @property
    def last_kernel_activity(self) -> datetime:
        """Return the current time while a kernel computes, otherwise the time of the last message (UTC)."""
        kernels = map(self.get_kernel, self.list_kernel_ids())
        busy = any(getattr(kernel, "execution_state", None) == "busy" for kernel in kernels)
        return datetime.now(UTC) if busy else self._last_kernel_message

    @last_kernel_activity.setter
    def last_kernel_activity(self, moment: datetime) -> None:
        self._last_kernel_message = moment


Sessions(os.environ.get("JUPYTERHUB_USER", "")).watch()

c = get_config()  # type: ignore[name-defined]  # noqa: F821
c.ServerApp.kernel_manager_class = ClassKernelManager
c.ServerApp.sock = listen_on_inherited()
count_use(SETTINGS["kernels"]["busy_counts_for"])
end_abandoned(c)
offer(c, Path(SETTINGS["lib"]).parent)
prepare(SETTINGS["lib"])
# Sockets in the student's own directory. Other students could reach a kernel's ports on loopback.
c.KernelManager.transport = "ipc"
c.AsyncMappingKernelManager.cull_idle_timeout = SETTINGS["kernels"]["cull_idle_after"]
c.AsyncMappingKernelManager.cull_connected = SETTINGS["kernels"]["cull_connected"]
c.AsyncMappingKernelManager.cull_busy = False
# Nobody reads the metrics, and they would be computed each second.
c.ResourceUseDisplay.enable_prometheus_metrics = False
use_class_kernels(c)
start_kernels_soon(c, SETTINGS["image"], **SETTINGS["kernels"]["ready"])
look_only_where_needed(c)
spare_ipython(c)
spare_the_server(c)
forget_after_a_kill()
check_once()
for name, traits in SETTINGS["server"].items():
    c[name].update(traits)
