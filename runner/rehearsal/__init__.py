"""A class that signs in at once, before the real one does: throw-away people on a real hub, and what it cost."""
