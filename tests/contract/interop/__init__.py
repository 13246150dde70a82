"""One dataset opens everywhere: written once, opened by every reader, compared record by record."""
