"""Writes the images of records as files, and decides which name each file gets."""
