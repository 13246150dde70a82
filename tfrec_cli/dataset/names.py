"""Names in a dataset: of splits, and of the styles of features' names."""

from __future__ import annotations

import re
from typing import Literal

KeyStyle = Literal["plain", "tf-models"]

SPLIT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
