"""An extension of griffe, which reads docstrings for the page of the Python API.

Knows: how our docstrings differ from what griffe expects: their sections follow each other without
a blank line, and those of modules have a paragraph for who changes the module.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_SECTION = re.compile(r"(?<=[^\n])\n(?=(?:Args|Attributes|Examples|Raises|Returns|Yields):\n)")
_FOR_MAINTAINERS = re.compile(r"\n\nKnows: .*?(?=\n\n|\Z)", re.DOTALL)


class Sections(griffe.Extension):
    """Give every section of a docstring a blank line above; leave out what modules may know."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        """Change the docstring of a module, class or function that was read."""
        if not obj.is_alias and obj.docstring:
            text = _FOR_MAINTAINERS.sub("", obj.docstring.value)
            obj.docstring.value = _SECTION.sub("\n\n", text)
