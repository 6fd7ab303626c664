"""The command line: every verb's arguments, what it prints, and how it ends."""
