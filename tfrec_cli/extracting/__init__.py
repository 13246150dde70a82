"""Writes the images of records as files, and decides on their names if these collide."""
