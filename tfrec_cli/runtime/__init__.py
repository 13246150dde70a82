"""Processes, memory and files: what knows nothing of images or records."""
