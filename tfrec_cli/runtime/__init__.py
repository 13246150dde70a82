"""Processes, memory and files; nothing here knows of images or records."""

import sys

from tfrec_cli import errors

if sys.platform == "win32":
    raise ImportError(errors.NO_WINDOWS)
