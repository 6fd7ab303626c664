"""Connections between the parts behind nginx: Unix sockets in directories that only the two ends can enter.

``places`` has their paths; ``spawner`` and ``units`` start a person's server behind one; on ``door`` the servers reach
the hub's API; ``hub`` is JupyterHub with that door; ``culler``, ``wait_ready`` and ``sync_routes`` are programs that
send requests to the hub. docs/decisions/unix-sockets.md says why.
"""
