"""What each person's server does differently from a plain Jupyter Server, a module for each thing."""
