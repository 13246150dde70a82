"""Other packages that do the same work; each is imported by its own module alone."""
