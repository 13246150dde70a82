"""Describes the machine: without that, figures mean nothing."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.clock import cores
from tfrec_cli.runtime import native

OURS = ("tfrec-cli", "tensorflow", "pillow", "numpy", "protobuf", "google-crc32c", "click")


def describe(peers: Iterable[str]) -> dict[str, Any]:
    """Return cores, CPU, memory, system, versions of packages, and whether C was compiled."""
    versions = {}
    for name in (*OURS, *sorted(set(peers))):
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "cores": cores(),
        "cpu": _cpu(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": versions,
        "extension": native.is_compiled,
    }


def _cpu() -> str:
    with suppress(OSError):
        found = re.search(r"^model name\s*: (.+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if found:
            return found[1]
    return platform.processor() or "unknown"


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None
