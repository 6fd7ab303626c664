"""Jupyter Server as every student of the course gets it. Made by Salt."""

import json
from datetime import UTC, datetime, timedelta

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

SETTINGS = json.loads(r"""{{ settings | json }}""")


class ClassKernelManager(AsyncMappingKernelManager):
    """Tells the hub that a computing kernel is activity.

    JupyterHub's idle culler goes by the time of the last message, and a long computation sends none
    (jupyterhub issue 1498).
    """

    @property
    def last_kernel_activity(self) -> datetime:
        """Return now while a kernel computes, else when the last message came (UTC)."""
        now = datetime.now(UTC)
        limit = SETTINGS["kernels"]["busy_counts_for"]
        for kernel_id in self.list_kernel_ids():
            kernel = self.get_kernel(kernel_id)
            if getattr(kernel, "execution_state", None) != "busy":
                continue
            if not limit or now - kernel.last_activity < timedelta(seconds=limit):
                return now
        return self._last_kernel_message

    @last_kernel_activity.setter
    def last_kernel_activity(self, moment: datetime) -> None:
        self._last_kernel_message = moment


c = get_config()  # noqa: F821
c.ServerApp.kernel_manager_class = ClassKernelManager
# Sockets in the student's own directory: no other student can reach a kernel's ports on loopback.
c.KernelManager.transport = "ipc"
c.AsyncMappingKernelManager.cull_idle_timeout = SETTINGS["kernels"]["cull_idle_after"]
c.AsyncMappingKernelManager.cull_connected = SETTINGS["kernels"]["cull_connected"]
c.AsyncMappingKernelManager.cull_busy = False
for name, traits in SETTINGS["server"].items():
    c[name].update(traits)
