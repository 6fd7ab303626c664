"""A new version of the hub on this server: tried beside the present one, switched to, and taken back."""
