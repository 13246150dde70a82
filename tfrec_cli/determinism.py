"""Seeding of what is not ours: the other random numbers that a training script draws.

Knows: the global generators of Python, NumPy, Keras, TensorFlow and PyTorch. Must not know:
datasets, images; and no framework but inside the functions that seed it.

The readers need none of this: what they draw depends on (seed, epoch, record key) alone. Weights,
dropout and transforms of your own do.
"""

from __future__ import annotations

import importlib.util
import os
import random
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfrec_cli.errors import MissingExtraError
from tfrec_cli.seeds import read_epoch, read_seed

__all__ = ["Seeded", "generator", "seed_everything", "worker_init_fn"]

_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
_CUBLAS_FIXED = (":4096:8", ":16:8")
"""Values with which cuBLAS repeats itself. Source: cuBLAS manual, Results Reproducibility."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    """What `seed_everything` did, and what it cannot do; printed, one line for each.

    Attributes:
        seed: what was seeded with.
        did: calls made and variables set.
        cannot: what may still differ between two runs, and what helps.
    """

    seed: int
    did: tuple[str, ...]
    cannot: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"seed {self.seed}"]
        lines += [f"  did     {line}" for line in self.did]
        lines += [f"  cannot  {line}" for line in self.cannot]
        return "\n".join(lines)


def seed_everything(seed: int) -> Seeded:
    """Seed every global generator there is, and ask the frameworks for deterministic operations.

    Call it once, after the imports and before anything is built. A framework is seeded if it has
    been imported; where none has been, those that are installed are imported now (TensorFlow
    takes seconds). So a PyTorch script does not load TensorFlow because it happens to be there,
    and a call above the imports is no call in vain. What was left alone is in the result.

    * Python and NumPy: ``random.seed``, ``numpy.random.seed``.
    * Keras and TensorFlow: ``keras.utils.set_random_seed``, ``tf.random.set_seed``,
      ``tf.config.experimental.enable_op_determinism``.
    * PyTorch: ``manual_seed`` (of all devices), ``use_deterministic_algorithms(True)``,
      ``backends.cudnn.benchmark = False``, and CUBLAS_WORKSPACE_CONFIG unless it is set already.

    Args:
        seed: in [0, 2**32), which is what NumPy takes.
    Returns:
        What was done and what cannot be; ``print`` it.
    Raises:
        UsageError: the seed is out of range, or no integer.
    """
    seed = read_seed("seed", seed)
    random.seed(seed)
    np.random.seed(seed)
    did = [f"Python: random.seed({seed})", f"NumPy: numpy.random.seed({seed})"]
    cannot: list[str] = []
    frameworks = (
        ("PyTorch", "torch", _seed_torch),  # first: see there
        ("Keras", "keras", _seed_keras),
        ("TensorFlow", "tensorflow", _seed_tensorflow),
    )
    imported = {module for _, module, _ in frameworks} & set(sys.modules)
    for name, module, seed_one in frameworks:
        if importlib.util.find_spec(module) is None:
            did.append(f"{name}: not installed")
        elif imported and module not in imported:
            cannot.append(f"{name}: not imported yet, so not seeded; import it before this call")
        else:
            seed_one(seed, did, cannot)
    cannot += _limits()
    return Seeded(seed=seed, did=tuple(did), cannot=tuple(cannot))


def generator(seed: int, epoch: int = 0) -> Any:
    """Make the generator of one epoch's ``DataLoader``: seeds its workers, and its shuffling.

    Give each epoch its own, and epoch k is the same whether or not the run began with it::

        for epoch in range(first, last):
            loader = DataLoader(data, shuffle=True, num_workers=4,
                                generator=generator(seed, epoch), worker_init_fn=worker_init_fn)

    A loader that is kept takes it by
    ``loader.generator.set_state(generator(seed, epoch).get_state())``, before its epoch begins.
    With ``persistent_workers`` that moves the shuffling alone: workers are seeded when they start.
    Without workers nothing draws from it but the shuffling; see `worker_init_fn`.

    Args:
        seed: in [0, 2**32).
        epoch: in [0, 2**31).
    Returns:
        A ``torch.Generator`` on the CPU. Its ``initial_seed()`` is 32 bits mixed of both by
        ``numpy.random.SeedSequence``: PyTorch's generator drops the bits above.
    Raises:
        UsageError: seed or epoch out of range, or no integer.
        MissingExtraError: PyTorch is not installed.
    """
    words = np.random.SeedSequence(
        [read_seed("seed", seed), read_epoch("epoch", epoch)]
    ).generate_state(1)
    return _torch().Generator().manual_seed(int(words[0]))


def worker_init_fn(worker_id: int) -> None:
    """Seed Python's and NumPy's global generators in a worker of a ``DataLoader``.

    By ``torch.initial_seed()``, which PyTorch has set: a number drawn from the loader's generator
    at the start of the epoch, plus ``worker_id``. So workers differ, and so do epochs.

    Without workers (``num_workers=0``) PyTorch does not call it. To have transforms depend on the
    epoch there too, and dropout in any case, begin each epoch with::

        torch.manual_seed(generator(seed, epoch).initial_seed())
        worker_init_fn(0)

    Generators that a dataset holds are copied into every worker as they are, and not reached.

    Args:
        worker_id: number of the worker, from 0.
    Raises:
        MissingExtraError: PyTorch is not installed.
    """
    words = np.random.SeedSequence([_torch().initial_seed(), worker_id]).generate_state(8)
    random.seed(words[:4].tobytes())
    np.random.seed(words[4:])


def _seed_keras(seed: int, did: list[str], cannot: list[str]) -> None:
    import keras

    keras.utils.set_random_seed(seed)
    did.append(f"Keras: keras.utils.set_random_seed({seed})")
    cannot.append("Keras: layers that are built already keep the seeds they drew")


def _seed_tensorflow(seed: int, did: list[str], cannot: list[str]) -> None:
    import tensorflow as tf

    tf.random.set_seed(seed)
    tf.config.experimental.enable_op_determinism()
    did.append(f"TensorFlow: tf.random.set_seed({seed}), enable_op_determinism()")
    cannot.append("TensorFlow: operations without a deterministic form raise an error")


def _seed_torch(seed: int, did: list[str], cannot: list[str]) -> None:
    torch = _torch()
    started = torch.cuda.is_initialized()
    workspace = os.environ.setdefault(_CUBLAS, _CUBLAS_FIXED[0])
    torch.manual_seed(seed)
    deterministic = "use_deterministic_algorithms(True)"
    if _loads_triton() and "tensorflow" in sys.modules:
        # Triton crashes the process where it is loaded after TensorFlow, and this does not load it
        torch.set_deterministic_debug_mode("error")
        deterministic = 'set_deterministic_debug_mode("error")'
        cannot.append("PyTorch: torch.compile; import TensorFlow after this call")
    else:
        torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    did.append(f"PyTorch: torch.manual_seed({seed})")
    did.append(f"PyTorch: torch.{deterministic}, cudnn.benchmark = False")
    did.append(f"PyTorch: {_CUBLAS}={workspace}")
    cannot.append("PyTorch: operations without a deterministic form raise an error")
    cannot.append("PyTorch: workers of a DataLoader; give it generator and worker_init_fn")
    if workspace not in _CUBLAS_FIXED:
        cannot.append(f"PyTorch: {_CUBLAS} was set; expected {' or '.join(_CUBLAS_FIXED)}")
    if started:
        cannot.append(f"PyTorch: CUDA has started, and may not look at {_CUBLAS} again")


def _loads_triton() -> bool:
    """Tell whether PyTorch's switch would load Triton, as its builds for GPUs do."""
    return importlib.util.find_spec("triton") is not None and "triton" not in sys.modules


def _torch() -> Any:
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError.of("PyTorch", "torch")
    import torch

    return torch


def _limits() -> list[str]:
    """Say what no call at run time reaches."""
    hashes = "order of sets of texts, drawn as Python started; start it with PYTHONHASHSEED=0"
    return [
        *([hashes] if sys.flags.hash_randomization else []),
        "generators of your own: numpy.random.default_rng(), random.Random(), torch.Generator()",
        "other devices, numbers of threads or versions: they may round differently",
    ]
