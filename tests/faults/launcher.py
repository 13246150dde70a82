"""Starts `tfrec` in forks of a process that has imported it, so that no run waits for imports.

Run as a program. Reads orders, one JSON object a line, and answers each with another:
{"argv", "output", "hold", "limits", "uid"} starts a command and returns its {"pid"};
{"reap": pid} waits for its end and returns its {"code"}, negative for a signal.

Knows: how to start the command. Must not know: what is done to it.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import signal
import sys
from typing import Any

sys.path.pop(0)  # this folder: only the harness may import its modules

# import what the command imports, even when it is first needed: another user may not be able to
# read these files
import difflib  # noqa: F401
import multiprocessing.connection
import multiprocessing.popen_fork
import multiprocessing.sharedctypes  # noqa: F401

import numpy as np  # noqa: F401
from PIL import Image

from tfrec_cli.__main__ import main
from tfrec_cli.cli import boundary, write  # noqa: F401
from tfrec_cli.commands import write as work  # noqa: F401
from tfrec_cli.report import write as report  # noqa: F401

Image.init()
gc.freeze()  # else a collection in the started command would copy every page of this process

_PR_SET_PTRACER = 0x59616D61
_LIMITS = {"FSIZE": resource.RLIMIT_FSIZE, "NOFILE": resource.RLIMIT_NOFILE}


def serve() -> None:
    """Answer orders until there are no more; return after a command has run in its own process."""
    while line := os_readline():
        order = json.loads(line)
        if "reap" in order:
            _, status = os.waitpid(order["reap"], 0)
            answer = {"code": os.waitstatus_to_exitcode(status)}
        else:
            ready, notify = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(ready)
                become(order, notify)
                return
            os.close(notify)
            answer = {"pid": pid, "held": os.read(ready, 1) == b"h"}
            os.close(ready)
        os.write(1, json.dumps(answer).encode() + b"\n")


def os_readline() -> bytes:
    """Read one line byte by byte: the started command would inherit a buffer."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return b""
        line += byte
    return line


def become(order: dict[str, Any], notify: int) -> None:
    """Make this process like one that a shell has started, and run the command in it."""
    os.setsid()
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, notify)
    os.closerange(notify + 1, 256)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)  # for strace
    if order["uid"]:
        os.setgroups([])
        os.setgid(order["uid"])
        os.setuid(order["uid"])
    sys.argv = order["argv"]

    def hold() -> None:
        nonlocal notify
        if notify >= 0:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
            os.write(notify, b"h")
            os.close(notify)
            notify = -1
            signal.sigwait({signal.SIGUSR1})
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})

    if order["hold"] == "workers":
        os.register_at_fork(after_in_parent=hold)
    elif order["hold"] == "start":
        hold()
    else:
        os.close(notify)
    for name, limit in order["limits"].items():
        resource.setrlimit(_LIMITS[name], (limit, resource.getrlimit(_LIMITS[name])[1]))
    main()


if __name__ == "__main__":
    serve()
