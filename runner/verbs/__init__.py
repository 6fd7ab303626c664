"""One module for each group of verbs; each verb is a function that returns the document of ``--json``."""
