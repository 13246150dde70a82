"""What is allowed and wanted of images: words and limits."""

from __future__ import annotations

from typing import Literal

Alpha = Literal["drop", "white", "black", "fail"]
Encoding = Literal["raw", "png", "jpeg"]
Exif = Literal["apply", "ignore"]
Frames = Literal["first", "fail"]

JPEG_QUALITY = 95

MAX_PIXELS = 178_956_970
"""Pillow's own limit: more is refused unless asked for."""
