"""One module for each scanner: ``measure`` runs it, ``parse`` reads its output."""
