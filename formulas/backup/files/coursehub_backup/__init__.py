"""Backups of a server by restic: made by a timer, looked at by a watch, restored on a teacher's word."""
