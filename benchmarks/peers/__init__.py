"""Other packages that do the same work; each is imported only by its own module."""
