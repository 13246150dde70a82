"""One module for each command: its visible steps."""
