"""What a write would do: the processes for it, and the images that it could not use.

Knows: plans and recipes. Must not know: the output.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.imaging import normalize
from tfrec_cli.runtime import pool
from tfrec_cli.runtime.pool import Progress
from tfrec_cli.writing import shard
from tfrec_cli.writing.damaged import Damaged
from tfrec_cli.writing.options import WriteOptions
from tfrec_cli.writing.plan import Plan
from tfrec_cli.writing.recipe import Recipe

_AT_ONCE = 64
"""Images that a worker checks at once."""


@contextmanager
def workers(options: WriteOptions) -> Iterator[pool.Map]:
    """Start the processes that read, decode and write; each loads its modules at once."""
    decodes = bool(options.crop or options.resize_short) or options.check != "structure"
    jobs = options.jobs or pool.available_jobs()
    with pool.local(jobs, isolated=True, prepare=partial(normalize.load, arrays=decodes)) as run:
        yield run


def check_images(
    root: Path, planned: Plan, recipe: Recipe, run: pool.Map, progress: Progress
) -> tuple[list[Reject], list[Damaged]]:
    """Make the records of all images of a plan, without writing them.

    Returns:
        The rejects, and the images that would be written although their data are damaged.
    """

    def tasks() -> Iterator[shard.Task]:
        for number in range(len(planned.sizes)):
            items = planned.shard(number)
            while items:
                yield shard.Task(
                    number=number,
                    root=root,
                    path=root,
                    index=None,
                    items=items.pop(_AT_ONCE),
                    recipe=recipe,
                    compression="none",
                )

    rejects: list[Reject] = []
    damaged: list[Damaged] = []
    done = 0
    for count, found in run(shard.check, tasks(), shard.without):
        rejects += [one for one in found if isinstance(one, Reject)]
        damaged += [one for one in found if isinstance(one, Damaged)]
        done += count
        progress("checking", done, planned.records)
    return rejects, sorted(damaged)
