"""One module for each scanner: ``measure`` runs it, ``parse`` reads what it printed."""
