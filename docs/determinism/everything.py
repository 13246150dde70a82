"""What seed_everything does, and two things that it cannot do."""

import importlib
import os
import random
import subprocess
import sys

import numpy as np

from tfrec_cli import determinism

FRAMEWORKS = ("keras", "tensorflow", "torch")


def loaded():
    return ", ".join(sorted(sys.modules.keys() & set(FRAMEWORKS))) or "none"


print("loaded before:", loaded())
seeded = determinism.seed_everything(42)
print("loaded after: ", loaded())
keras, tf, torch = map(importlib.import_module, FRAMEWORKS)
own = np.random.default_rng()
dropout = keras.layers.Dropout(0.5)


def draw():
    """Draw from every global generator."""
    return [
        random.random(),
        float(np.random.random()),
        float(keras.random.uniform([])),
        float(tf.random.uniform([])),
        float(torch.rand([])),
    ]


def after_importing_torch():
    """Return what a process that has imported PyTorch says of the others."""
    program = (
        "import torch; from tfrec_cli import determinism; print(determinism.seed_everything(42))"
    )
    said = subprocess.check_output([sys.executable, "-c", program], text=True)
    return [line for line in said.splitlines() if "not imported" in line]


def dropped():
    """Return which of 100 values the layer leaves."""
    return dropout(tf.ones([100]), training=True).numpy().tolist()


def tried(function, *arguments):
    try:
        function(*arguments)
    except RuntimeError:
        return "an error"
    return "done"


def sums(threads):
    """Return 20 sums of a million numbers each."""
    torch.set_num_threads(threads)
    rows = torch.rand((20, 1_000_000), generator=torch.Generator().manual_seed(1))
    return [float(row.sum()) for row in rows]


def hashed(before="pass", **variables):
    """Return the hashes that two new processes give one text."""
    program = f"import os; {before}; print(hash('leaves'))"
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    words = [sys.executable, "-c", program]
    return [subprocess.check_output(words, env=plain | variables) for _ in range(2)]


def same(first, second):
    return "same" if first == second else "different"


print(seeded)
print("if only PyTorch was imported before")
print(*after_importing_torch(), sep="\n")
determinism.seed_everything(42)
first, first_own, first_dropped = draw(), own.random(), dropped()
determinism.seed_everything(42)
print("numbers after seeding again")
print("  Python, NumPy, Keras, TensorFlow, PyTorch:", same(first, draw()))
print("  a generator of your own:                  ", same(first_own, own.random()))
print("  a layer that was built before:            ", same(first_dropped, dropped()))
print("operations without a deterministic form")
print("  tf.random.Generator.from_non_deterministic_state:", end=" ")
print(tried(tf.random.Generator.from_non_deterministic_state))
print("  torch.Tensor.put_:", tried(torch.zeros(2).put_, torch.tensor([0]), torch.ones(1)))
print("sums by PyTorch with 1 and 2 threads:        ", same(sums(1), sums(2)))
print("hash of a text in two processes")
print("  PYTHONHASHSEED not set:            ", same(*hashed()))
print("  os.environ['PYTHONHASHSEED'] = '0':", same(*hashed("os.environ['PYTHONHASHSEED'] = '0'")))
print("  started with PYTHONHASHSEED=0:     ", same(*hashed(PYTHONHASHSEED="0")))
