"""JPEG files, read without decoding: markers, metadata, scans, and windows cut out of them."""
