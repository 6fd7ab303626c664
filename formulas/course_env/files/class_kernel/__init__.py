"""What each kernel of Python does differently from a plain one, a module for each thing."""
