"""What options take, shared by the command line and by what does the work.

Knows: words, and a number. Must not know: anything else, so that ``tfrec --help`` loads nothing
heavy.
"""

from __future__ import annotations

import re
from typing import Literal

Alpha = Literal["drop", "white", "black", "fail"]
Check = Literal["structure", "decode"]
Compression = Literal["none", "gzip"]
Decoder = Literal["auto", "pillow", "tensorflow"]
Encoding = Literal["raw", "png", "jpeg"]
Exif = Literal["apply", "ignore"]
Frames = Literal["first", "fail"]
KeyStyle = Literal["plain", "tf-models"]
OnError = Literal["fail", "skip"]
Small = Literal["fail", "skip", "pad", "resize"]

MAX_PIXELS = 178_956_970
"""Pillow's own limit: more is refused unless asked for."""

SPLIT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
