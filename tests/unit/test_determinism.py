"""Seeding of other random numbers: what is seeded, in which epoch, and what is reported."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, fill, needs, torch, torch_data

from tfrec_cli import determinism
from tfrec_cli.determinism import generator, seed_everything, worker_init_fn
from tfrec_cli.errors import RunError, UsageError

Item = tuple[float, float, float]


class Draws:
    """Items are random numbers of Python, NumPy and PyTorch, as a transform would draw them."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Item:
        return random.random(), float(np.random.random()), float(torch.rand([]))


def epoch_of(seed: int, epoch: int, **options: Any) -> list[Item]:
    """Read one epoch with a loader of its own."""
    given = {"num_workers": 2, "generator": generator(seed, epoch), **options}
    return list(
        torch_data.DataLoader(Draws(), batch_size=None, worker_init_fn=worker_init_fn, **given)
    )


def assert_all_differ(*epochs: list[Item]) -> None:
    """No generator gave one number twice."""
    for drawn in zip(*(item for epoch in epochs for item in epoch), strict=True):
        assert len(set(drawn)) == len(drawn)


@pytest.fixture
def untouched() -> Iterator[None]:
    """Put the global generators back after a test that seeds them in this process."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


@needs("torch")
def test_workers_and_epochs_differ() -> None:
    assert_all_differ(*(epoch_of(42, epoch) for epoch in range(3)))


@needs("torch")
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_run_that_begins_at_an_epoch_repeats_it(start: str) -> None:
    """However its workers are started."""
    epochs = [epoch_of(42, epoch, multiprocessing_context="fork") for epoch in (0, 1)]
    assert epochs[1] == epoch_of(42, 1, multiprocessing_context=start)


@needs("torch")
def test_seeds_differ() -> None:
    """Neighbours too: seed 0 in epoch 1 is not seed 1 in epoch 0."""
    assert_all_differ(epoch_of(0, 0), epoch_of(0, 1), epoch_of(1, 0), epoch_of(1, 1))


@needs("torch")
def test_a_kept_loader_takes_the_state_of_an_epoch_and_shuffles_by_it() -> None:
    """With shuffling, which draws from the same generator."""
    items = list(range(100))
    loader = torch_data.DataLoader(items, batch_size=None, shuffle=True, generator=generator(42))  # type: ignore[arg-type]
    orders = []
    for epoch in range(3):
        loader.generator.set_state(generator(42, epoch).get_state())
        orders.append([int(item) for item in loader])
    again = torch_data.DataLoader(items, batch_size=None, shuffle=True, generator=generator(42, 2))  # type: ignore[arg-type]
    assert [int(item) for item in again] == orders[2]
    assert len(set(map(tuple, orders))) == 3


@needs("torch")
def test_epochs_of_persistent_workers_differ_and_repeat(untouched: None) -> None:
    """They are seeded once; their epochs differ, and another run repeats them from its start."""
    runs = []
    for _ in range(2):
        loader = torch_data.DataLoader(
            Draws(), batch_size=None, num_workers=2, persistent_workers=True,
            generator=generator(42), worker_init_fn=worker_init_fn,
        )  # fmt: skip
        runs.append([list(loader) for _ in range(2)])
    assert_all_differ(*runs[0])
    assert runs[0] == runs[1]


@needs("torch")
def test_without_workers_two_lines_seed_an_epoch(untouched: None) -> None:
    def epoch(number: int) -> list[Item]:
        torch.manual_seed(generator(42, number).initial_seed())
        worker_init_fn(0)
        return epoch_of(42, number, num_workers=0)

    alone = epoch(1)
    epochs = [epoch(0), epoch(1)]
    assert epochs[1] == alone
    assert_all_differ(*epochs)


@needs("torch")
def test_the_generator_uses_no_bits_that_pytorch_drops() -> None:
    assert all(generator(42, epoch).initial_seed() < 2**32 for epoch in range(100))
    assert len({generator(42, epoch).initial_seed() for epoch in range(1000)}) == 1000


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "1", None])
@pytest.mark.parametrize("function", [seed_everything, generator])
def test_a_seed_out_of_range_is_refused(function: Callable[[Any], Any], seed: Any) -> None:
    before = random.getstate()
    with pytest.raises(UsageError, match=r"^seed: found .*, expected "):
        function(seed)
    assert random.getstate() == before


def test_an_epoch_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^epoch: found -1, expected 0 to 2147483647$"):
        generator(0, -1)


@needs("torch")
def test_numpy_integers_are_seeds() -> None:
    first, second = generator(np.uint32(7), np.int64(3)), generator(7, 3)  # type: ignore[arg-type]
    assert torch.equal(first.get_state(), second.get_state())


def test_without_pytorch_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RunError) as raised:
        generator(0)
    assert str(raised.value) == "PyTorch is not installed: pip install 'tfrec-cli[torch]'"


# Stands in for a framework: counts as installed, and says what is called.
STAND_IN = b"""
class Any:
    def __init__(self, name): self.name = name
    def __getattr__(self, name): return Any(self.name + "." + name)
    def __call__(self, *given):
        print(self.name, *given)
        return self.name.endswith("is_initialized") and STARTED
STARTED = False
def __getattr__(name):
    if name.startswith("__"): raise AttributeError(name)
    return Any(__name__ + "." + name)
"""
KERAS = ["keras.utils.set_random_seed 7"]
TENSORFLOW = [
    "tensorflow.random.set_seed 7",
    "tensorflow.config.experimental.enable_op_determinism",
]
TORCH = [
    "torch.cuda.is_initialized",
    "torch.manual_seed 7",
    "torch.use_deterministic_algorithms True",
]


def seeded_by(folder: Path, before: str, after: str = "", **variables: str) -> list[str]:
    """Seed with 7 in a new process where three stand-ins are installed; return what it prints."""
    stand_ins = fill(folder, {f"{name}.py": STAND_IN for name in ("keras", "tensorflow", "torch")})
    program = (
        f"{before}\nfrom tfrec_cli import determinism\n"
        f"done = determinism.seed_everything(7)\n{after}"
    )
    path = os.pathsep.join([str(stand_ins), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path, **variables},
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip


@pytest.mark.parametrize(
    ("before", "calls"),
    [
        ("", TORCH + KERAS + TENSORFLOW),
        ("import torch", TORCH),
        ("import tensorflow", TENSORFLOW),
        ("import keras, torch", TORCH + KERAS),
    ],
)
def test_what_is_imported_is_seeded_or_else_what_is_installed(
    tmp_path: Path, before: str, calls: list[str]
) -> None:
    assert seeded_by(tmp_path, before) == calls


@pytest.mark.parametrize(
    ("before", "call"),
    [
        ("", "use_deterministic_algorithms True"),
        ("import torch", "use_deterministic_algorithms True"),
        ("import torch, triton, tensorflow", "use_deterministic_algorithms True"),
        ("import torch, tensorflow", "set_deterministic_debug_mode error"),
    ],
)
def test_triton_is_not_loaded_after_tensorflow(tmp_path: Path, before: str, call: str) -> None:
    """That order kills the process; PyTorch's builds for GPUs load Triton in this call."""
    fill(tmp_path, {"triton.py": b""})
    called = seeded_by(tmp_path, before)
    assert [one for one in called if "deterministic_" in one] == [f"torch.{call}"]


def test_what_was_not_seeded_is_reported(tmp_path: Path) -> None:
    said = seeded_by(tmp_path, "import torch", "print(done)", PYTHONHASHSEED="0")[len(TORCH) :]
    left = "not imported yet, so not seeded; import it before this call"
    assert said == [
        "seed 7",
        "  did     Python: random.seed(7)",
        "  did     NumPy: numpy.random.seed(7)",
        "  did     PyTorch: torch.manual_seed(7)",
        "  did     PyTorch: torch.use_deterministic_algorithms(True), cudnn.benchmark = False",
        "  did     PyTorch: CUBLAS_WORKSPACE_CONFIG=:4096:8",
        "  cannot  PyTorch: operations without a deterministic form raise an error",
        "  cannot  PyTorch: workers of a DataLoader; give it generator and worker_init_fn",
        f"  cannot  Keras: {left}",
        f"  cannot  TensorFlow: {left}",
        "  cannot  your own generators: numpy.random.default_rng(), random.Random(), "
        "torch.Generator()",
        "  cannot  other devices, numbers of threads or versions: they may round differently",
    ]


def test_a_started_gpu_and_another_workspace_are_reported(tmp_path: Path) -> None:
    said = seeded_by(
        tmp_path,
        "import torch; torch.STARTED = True",
        "print(done)",
        CUBLAS_WORKSPACE_CONFIG=":0:0",
    )
    assert "  did     PyTorch: CUBLAS_WORKSPACE_CONFIG=:0:0" in said
    name = "CUBLAS_WORKSPACE_CONFIG"
    assert f"  cannot  PyTorch: found {name}=:0:0, expected :4096:8 or :16:8" in said
    assert f"  cannot  PyTorch: CUDA has already started, and may not read {name} again" in said


def test_what_is_not_installed_is_reported(
    monkeypatch: pytest.MonkeyPatch, untouched: None
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = seed_everything(7)
    assert done.did == (
        "Python: random.seed(7)",
        "NumPy: numpy.random.seed(7)",
        "PyTorch: not installed",
        "Keras: not installed",
        "TensorFlow: not installed",
    )
    assert (random.random(), np.random.random()) == (
        random.Random(7).random(),
        np.random.RandomState(7).random_sample(),
    )


def test_importing_it_imports_no_framework(tmp_path: Path) -> None:
    poison = {
        f"{name}.py": b"import os\nos._exit(99)\n" for name in ("keras", "tensorflow", "torch")
    }
    path = os.pathsep.join([str(fill(tmp_path, poison)), str(ROOT)])
    words = [sys.executable, "-c", f"import {determinism.__name__}"]
    assert (
        subprocess.run(words, env={**os.environ, "PYTHONPATH": path}, check=False).returncode == 0
    )
