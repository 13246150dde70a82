"""Image folders to TFRecord shards and back, with reproducible crops."""

__version__ = "0.1.0"
