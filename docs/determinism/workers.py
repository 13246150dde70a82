"""What the workers of a DataLoader draw, with the usual recipes and with ours."""

import random

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from tfrec_cli import determinism


class Draws(Dataset):
    """Eight items, each of which is what three global generators give."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return random.random(), np.random.random(), float(torch.rand([]))


class Own(Draws):
    """Eight items, drawn from a generator that the dataset holds."""

    def __init__(self):
        self.generator = np.random.default_rng(42)

    def __getitem__(self, index):
        return self.generator.random()


class Keyed(Draws):
    """Eight items, each drawn from (seed, epoch, index)."""

    epoch = 0

    def __getitem__(self, index):
        return np.random.default_rng((42, self.epoch, index)).random()


def constant(worker_id):
    """Seed as many recipes do."""
    random.seed(42 + worker_id)
    np.random.seed(42 + worker_id)
    torch.manual_seed(42 + worker_id)


def load(data, **options):
    return DataLoader(data, batch_size=None, **{"num_workers": 2, **options})


def ours(epoch, **options):
    generator = determinism.generator(42, epoch)
    return load(Draws(), generator=generator, worker_init_fn=determinism.worker_init_fn, **options)


def different(*epochs):
    """Count the different items; of several generators, the fewest that one of them gave."""
    columns = zip(*(np.ravel(item) for epoch in epochs for item in epoch), strict=True)
    return f"{min(len(set(column)) for column in columns)} different of {sum(map(len, epochs))}"


def same(first, second):
    return "the same" if first == second else "different"


def main():
    print("different numbers in two epochs of 8 items, 2 workers")
    loader = load(Draws())
    print("  as PyTorch seeds them:        ", different(list(loader), list(loader)))
    loader = load(Draws(), worker_init_fn=constant)
    print("  worker_init_fn: 42 + worker:  ", different(list(loader), list(loader)))
    loader = load(Own())
    print("  the dataset's own generator:  ", different(list(loader), list(loader)))
    epochs = [list(ours(epoch)) for epoch in range(2)]
    print("  generator and worker_init_fn: ", different(*epochs))

    print("numbers of the second epoch, with generator and worker_init_fn")
    print("  in another run that began with it:      ", same(epochs[1], list(ours(1))))
    one_worker = list(ours(1, num_workers=1))
    print("  with 1 worker:                          ", same(epochs[1], one_worker))
    kept = ours(0, persistent_workers=True)
    list(kept)
    kept.generator.set_state(determinism.generator(42, 1).get_state())
    print("  by persistent workers, generator set:   ", same(epochs[1], list(kept)))
    kept = ours(0)
    list(kept)
    kept.generator.set_state(determinism.generator(42, 1).get_state())
    print("  by a loader that is kept, generator set:", same(epochs[1], list(kept)))

    calls = []
    list(load(Draws(), num_workers=0, worker_init_fn=calls.append))
    print("calls of worker_init_fn with num_workers=0:", len(calls))

    def begun(epoch):
        torch.manual_seed(determinism.generator(42, epoch).initial_seed())
        determinism.worker_init_fn(0)
        return list(load(Draws(), num_workers=0))

    alone = begun(1)
    begun(0)
    print("  two lines of seeding before each epoch:  ", same(alone, begun(1)), "when resumed")

    keyed = [list(load(Keyed(), num_workers=workers)) for workers in (0, 1, 2)]
    alike = keyed[0] == keyed[1] == keyed[2]
    print(
        "default_rng((seed, epoch, index)), 0, 1 or 2 workers:",
        "the same" if alike else "different",
    )

    low, high = (torch.Generator().manual_seed(42 + epoch * 2**32) for epoch in (0, 1))
    drawn = [torch.rand(4, generator=one).tolist() for one in (low, high)]
    print("torch.Generator().manual_seed(seed + epoch * 2**32), epochs 0 and 1:", same(*drawn))


if __name__ == "__main__":
    main()
