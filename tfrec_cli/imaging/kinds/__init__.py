"""Formats of which Pillow alone would give wrong pixels; `claims` is their door."""
