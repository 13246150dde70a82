"""What ``tfrec write`` can be told."""

from __future__ import annotations

from typing import Literal

Check = Literal["structure", "decode"]
Decoder = Literal["auto", "pillow", "tensorflow"]
OnError = Literal["fail", "skip"]
Small = Literal["fail", "skip", "pad", "resize"]
