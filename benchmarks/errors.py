"""What ends a run."""


class BenchmarkError(Exception):
    """A contestant failed, or was wrong; the message says which, what was found and expected."""
