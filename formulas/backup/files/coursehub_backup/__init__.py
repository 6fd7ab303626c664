"""Backups of a server with restic: a timer makes them, a watch checks them, a teacher restores from them."""
