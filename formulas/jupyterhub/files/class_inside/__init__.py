"""How the parts behind nginx reach each other: Unix sockets in directories that only the two ends can enter.

``places`` says where they are; ``spawner`` and ``units`` start a person's server behind one; ``door`` is where the
servers reach the hub's API; ``hub`` is JupyterHub with that door; ``culler``, ``wait_ready`` and ``sync_routes`` are
programs that ask the hub something. docs/decisions/unix-sockets.md says why.
"""
