"""Bad disks and limits: full disks, read-only folders, limits on file size and open files.

Knows: how to make them. Must not know: tfrec_cli. Run as a program, it fills disks in its own mount
namespace: ``python -m tests.faults.disks SOURCE FOLDER CASE…``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from . import invariants
from .invariants import Tree
from .runs import Launcher, Tally, images

IMAGES = 40
NOBODY = 65534
_PAGE = 4096
_ROOMY = "size=64m,nr_inodes=1000"


def run(folder: Path, *, thorough: bool = True) -> Tally:
    """Write to each kind of bad disk, repair it, and resume.

    Args:
        folder: an empty folder for temporary files.
        thorough: try disks and limits of every size; else one or two of each kind.
    """
    tally = Tally()
    source = images(folder / "images", IMAGES, edge_px=120)
    launcher = Launcher(folder)
    out = folder / "out"
    ended = launcher.run(_command(source, out))
    after = invariants.read(out)
    if ended.code:
        raise RuntimeError(ended.output)
    tally.add(_full(source, folder, _disks(after, thorough=thorough)))
    sizes = sorted(len(data) for name, data in after.items() if name.endswith(".tfrecord"))
    for limit in (_PAGE, sizes[-1] - 1) if thorough else (sizes[-1] - 1,):
        wrong = _limited(launcher, source, out, after, {"FSIZE": limit})
        tally.count("file size limit", wrong)
    for limit in range(4, 40) if thorough else (6, 14):
        wrong = _limited(launcher, source, out, after, {"NOFILE": limit})
        tally.count("open files limit", wrong)
    launcher.close()
    tally.add(_read_only(after))
    return tally


def _command(source: Path, out: Path) -> list[str]:
    return ["write", str(source), str(out), "-j", "2", "--shards", "3"]


def _disks(after: Tree, *, thorough: bool) -> list[str]:
    """Return mount options of disks that are too small, some just by one page or one file."""
    pages = sum(-(-len(data) // _PAGE) for data in after.values())
    files = len(after)
    chosen = [*range(1, pages, pages // 20), *range(pages - 12, pages)] if thorough else [pages - 1]
    inodes = range(2, files + 2) if thorough else (4,)
    return [
        "size=1m",
        *(f"size={page * _PAGE}" for page in chosen),
        *(f"size=64m,nr_inodes={inode}" for inode in inodes),
    ]


def _full(source: Path, folder: Path, disks: Sequence[str]) -> Tally:
    """Write to full disks, in a namespace in which any user may mount."""
    if not shutil.which("unshare"):
        return Tally(notes=["left out: full disks: unshare is not installed"])
    allowed = subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if allowed.returncode:
        return Tally(notes=[f"left out: full disks: {allowed.stderr.decode().strip()}"])
    mounted = folder / "disk"
    mounted.mkdir()
    package = __package__ or ""
    root = Path(__file__).parents[package.count(".") + 1]
    paths = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    program = [sys.executable, "-m", f"{package}.disks"]
    ended = subprocess.run(
        ["unshare", "-rm", *program, str(source), str(mounted), *disks],
        stdout=subprocess.PIPE,
        check=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    return Tally(**json.loads(ended.stdout))


def fill(source: Path, mounted: Path, disks: Sequence[str]) -> Tally:
    """Write to each disk; the first one is large and gives the expected result."""
    tally = Tally()
    scratch = Path(tempfile.mkdtemp())
    launcher = Launcher(scratch)
    out = mounted / "out"
    after: Tree = {}
    for disk in [_ROOMY, *disks]:
        subprocess.run(["mount", "-t", "tmpfs", "-o", disk, "tmpfs", mounted], check=True)
        command = _command(source, out)
        ended = launcher.run(command)
        tree = invariants.read(out) if out.exists() else {}
        if disk == _ROOMY:
            after = tree
            wrong = [] if ended.code == 0 else [ended.output]
        else:
            wrong = ended.misreported(3, str(out)) + _nothing_final(tree)
            subprocess.run(["mount", "-o", f"remount,{_ROOMY}", mounted], check=True)
            wrong += _resumed(launcher, command, out, after)
        tally.count("full disk", [f"{fault} (tmpfs of {disk})" for fault in wrong])
        subprocess.run(["umount", mounted], check=True)
    launcher.close()
    shutil.rmtree(scratch)
    return tally


def _limited(
    launcher: Launcher, source: Path, out: Path, after: Tree, limits: Mapping[str, int]
) -> list[str]:
    """Write under a limit, which may succeed; then resume without the limit."""
    shutil.rmtree(out, ignore_errors=True)
    command = _command(source, out)
    ended = launcher.run(command, limits=limits)
    tree = invariants.read(out) if out.exists() else {}
    wrong = invariants.whole(tree, [after]) + invariants.vouched(tree)
    if ended.code or "FSIZE" in limits:
        wrong += ended.misreported(3, str(out) if "FSIZE" in limits else "") + _nothing_final(tree)
    return [f"{fault} ({limits})" for fault in wrong + _resumed(launcher, command, out, after)]


def _read_only(after: Tree) -> Tally:
    """Write to read-only folders; as another user if we are root, whom permissions do not stop."""
    tally = Tally()
    folder = Path(tempfile.mkdtemp())  # another user may enter it
    folder.chmod(0o755)
    source = images(folder / "images", IMAGES, edge_px=120)
    launcher = Launcher(folder)
    uid = 0 if os.getuid() else NOBODY
    for place in ("the folder", "its parent"):
        parent = folder / place
        out = parent / "out"
        out.mkdir(parents=True)
        if place == "its parent":
            out.rmdir()
        barred = out if out.exists() else parent
        if uid:
            os.chown(barred, uid, uid)
        barred.chmod(0o555)
        ended = launcher.run(_command(source, out), uid=uid)
        wrong = ended.misreported(3, str(out))
        wrong += _nothing_final(invariants.read(out) if out.exists() else {})
        barred.chmod(0o755)
        wrong += _resumed(launcher, _command(source, out), out, after, uid=uid)
        tally.count("read-only", [f"{fault} ({place})" for fault in wrong])
    launcher.close()
    shutil.rmtree(folder)
    return tally


def _nothing_final(tree: Tree) -> list[str]:
    return [f"{name}: has its final name" for name in tree if not name.startswith(".")]


def _resumed(
    launcher: Launcher, command: Sequence[str], out: Path, after: Tree, *, uid: int = 0
) -> list[str]:
    ended = launcher.run([*command, "--resume"], uid=uid)
    wrong = [f"exit code {ended.code}: {ended.output!r}"] if ended.code else []
    tree = invariants.read(out) if out.exists() else {}
    return [f"resumed: {fault}" for fault in wrong + invariants.same(tree, after)]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(fill(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))))
