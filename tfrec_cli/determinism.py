"""Seeds the random numbers of a training script that do not come from the readers.

Knows: the global generators of Python, NumPy, Keras, TensorFlow and PyTorch. Must not know:
datasets, images. Imports a framework only in the function that seeds it.

The readers do not need these functions: their random numbers depend only on (seed, epoch, record
key). Weights, dropout and your own transforms need them.
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
"""Values that make cuBLAS reproducible. Source: cuBLAS manual, Results Reproducibility."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    """What `seed_everything` did and what it cannot do; ``print`` shows a line for each.

    Attributes:
        seed: the seed.
        did: calls that were made, and variables that were set.
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
    """Seed all global generators, and ask the frameworks for deterministic operations.

    Call it once, after the imports and before you build models or datasets. Frameworks that are
    imported are seeded. If none is imported yet, all that are installed are imported and seeded
    (TensorFlow takes seconds). So a PyTorch script does not load TensorFlow only because it is
    installed. The result lists frameworks that were not seeded.

    * Python and NumPy: ``random.seed``, ``numpy.random.seed``.
    * Keras and TensorFlow: ``keras.utils.set_random_seed``, ``tf.random.set_seed``,
      ``tf.config.experimental.enable_op_determinism``.
    * PyTorch: ``manual_seed`` (of all devices), ``use_deterministic_algorithms(True)``,
      ``backends.cudnn.benchmark = False``, and CUBLAS_WORKSPACE_CONFIG if it is not set.

    Args:
        seed: in [0, 2**32), the range of NumPy's seeds.
    Returns:
        What was done, and what cannot be done.
    Raises:
        UsageError: the seed is out of range, or not an integer.
    """
    seed = read_seed("seed", seed)
    random.seed(seed)
    np.random.seed(seed)
    did = [f"Python: random.seed({seed})", f"NumPy: numpy.random.seed({seed})"]
    cannot: list[str] = []
    frameworks = (
        ("PyTorch", "torch", _seed_torch),  # first, see there
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
    """Make the generator for one epoch of a ``DataLoader``; it seeds workers and shuffling.

    Give each epoch its own generator. Then epoch k is the same, whether or not the run began with
    epoch k::

        for epoch in range(first, last):
            loader = DataLoader(data, shuffle=True, num_workers=4,
                                generator=generator(seed, epoch), worker_init_fn=worker_init_fn)

    If you keep one loader, call ``loader.generator.set_state(generator(seed, epoch).get_state())``
    before each epoch. With ``persistent_workers`` that changes only the shuffling, because workers
    are seeded when they start. Without workers, only the shuffling uses the generator; see
    `worker_init_fn`.

    Args:
        seed: in [0, 2**32).
        epoch: in [0, 2**31).
    Returns:
        A ``torch.Generator`` on the CPU. ``numpy.random.SeedSequence`` mixes both numbers into the
        32 bits of its ``initial_seed()``: PyTorch's generator ignores higher bits.
    Raises:
        UsageError: the seed or the epoch is out of range, or not an integer.
        MissingExtraError: PyTorch is not installed.
    """
    words = np.random.SeedSequence(
        [read_seed("seed", seed), read_epoch("epoch", epoch)]
    ).generate_state(1)
    return _torch().Generator().manual_seed(int(words[0]))


def worker_init_fn(worker_id: int) -> None:
    """Seed Python's and NumPy's global generators in a worker of a ``DataLoader``.

    The seed is ``torch.initial_seed()``, which PyTorch has set to a number drawn from the loader's
    generator at the start of the epoch, plus ``worker_id``. So workers and epochs differ.

    Without workers (``num_workers=0``), PyTorch does not call this function. Then begin each epoch
    with these lines, so that transforms depend on the epoch. Dropout needs these lines in any
    case::

        torch.manual_seed(generator(seed, epoch).initial_seed())
        worker_init_fn(0)

    Generators in a dataset are copied unchanged to every worker; this function cannot seed them.

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
    cannot.append("Keras: layers that were built before keep their seeds")


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
        # Triton crashes the process if it is loaded after TensorFlow; this call does not load it
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
        cannot.append(
            f"PyTorch: found {_CUBLAS}={workspace}, expected {' or '.join(_CUBLAS_FIXED)}"
        )
    if started:
        cannot.append(f"PyTorch: CUDA has already started, and may not read {_CUBLAS} again")


def _loads_triton() -> bool:
    """Tell whether PyTorch's switch would load Triton, as in its builds for GPUs."""
    return importlib.util.find_spec("triton") is not None and "triton" not in sys.modules


def _torch() -> Any:
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError.of("PyTorch", "torch")
    import torch

    return torch


def _limits() -> list[str]:
    """Return what no call at run time can seed."""
    hashes = "order of sets of strings, drawn when Python started; start it with PYTHONHASHSEED=0"
    return [
        *([hashes] if sys.flags.hash_randomization else []),
        "your own generators: numpy.random.default_rng(), random.Random(), torch.Generator()",
        "other devices, numbers of threads or versions: they may round differently",
    ]
