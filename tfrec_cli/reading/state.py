"""The state of a run: up to where which epoch is read, so that another run goes on there.

Knows: orders of records. Must not know: any framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfrec_cli.errors import UsageError
from tfrec_cli.reading.mixture import Mixture
from tfrec_cli.reading.options import ReadOptions
from tfrec_cli.reading.order import host_count, own_start
from tfrec_cli.runtime import values
from tfrec_cli.seeds import read_epoch


def make(records: int | Mixture, options: ReadOptions, epoch: int, own: int) -> dict[str, Any]:
    """Return the state after ``own`` of this host's records of an epoch.

    The end of an epoch is the beginning of the next.

    Args:
        records: how many there are, or several datasets.
    Returns:
        ``epoch``; ``position``, in the epoch of all hosts; and what the order depends on. The
        values are those of JSON.
    """
    _, hosts = options.host
    is_over = own == host_count(_count(records), options)
    return {
        "epoch": epoch + is_over,
        "position": 0 if is_over else own * hosts,
        **_identity(records, options),
    }


def read(records: int | Mixture, options: ReadOptions, state: Mapping[str, Any]) -> tuple[int, int]:
    """Return the epoch of a state, and how many of its records this host has read.

    The state may be of another number of hosts, see `order.own_start`.

    Raises:
        UsageError: it is no state, or that of another order.
    """
    identity = _identity(records, options)
    if not isinstance(state, Mapping) or not {"epoch", "position", *identity} <= set(state):
        raise UsageError(f"`state_dict`: found {state!r}, expected what state_dict() returns")
    for name, expected in identity.items():
        if state[name] != expected:
            raise UsageError(
                f"`state_dict`: found {name} {state[name]!r}, expected {expected!r}: "
                "it is the state of another order"
            )
    position = values.whole("position", state["position"], 0)
    own = min(own_start(position, options), host_count(_count(records), options))
    return read_epoch("epoch", state["epoch"]), own


def _count(records: int | Mixture) -> int:
    return records if isinstance(records, int) else records.count


def _identity(records: int | Mixture, options: ReadOptions) -> dict[str, Any]:
    return {
        "records": records if isinstance(records, int) else list(records.sizes),
        "seed": options.seed,
        "order_seed": options.drawn_order_seed,
        "shuffle": options.shuffle,
        "even": options.even,
        "mix": [str(weight) for _, weight in options.mixed] or None,
    }
