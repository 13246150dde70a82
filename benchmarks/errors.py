"""The error that ends a run."""


class BenchmarkError(Exception):
    """A contestant failed, or its result was wrong; the message says which, and what was wrong."""
