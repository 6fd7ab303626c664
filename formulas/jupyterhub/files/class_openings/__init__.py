"""Who opened whose work, and how.

``hub`` notices when another person than the owner opens a server; ``log`` is the log.
"""
