"""Image formats, headers and pixels."""
