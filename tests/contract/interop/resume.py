"""`python -m tests.contract.interop.resume`: a table of trainers, and how exactly they resume.

Each trainer trains a small model on the sample images, once as a whole, and once interrupted and
resumed with new objects: in the middle of an epoch, and at the end of one. The weights of both
must be equal, bit for bit. Exit code 1 if any differ.

Knows: trainers' interfaces, each imported by the function that needs it; the table. Must not know:
the order of records.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from . import exact

EPOCHS = 3
BATCH = 8
STOPS = {"mid-epoch": 7, "at an end": 10}
"""After which step a run of 40 images stops, so 5 steps an epoch."""
STOPS_OF_TWO = {"mid-epoch": 4, "at an end": 6}
"""The same for two processes, which take 3 steps an epoch."""

Train = Callable[[str, Path, int, int], "list[float] | None"]
"""Trains with the dataset in a folder, a folder for checkpoints, and so many workers. It saves its
state after a step, and stops; or with step 0 it goes on where it stopped, if it did, and returns
the weights of the end."""


class StoppedError(Exception):
    """A run is interrupted."""


def _dataset(folder: str, **options: Any) -> Any:
    from tfrec_cli import read_torch

    return read_torch.dataset(folder, crop=32, seed=42, flip=True, **options)


def _order(dataset: Any, **options: Any) -> Any:
    from tfrec_cli import read_torch

    return read_torch.Order(dataset, **options)


def _model() -> Any:
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    return torch.nn.Sequential(
        torch.nn.AvgPool2d(8), torch.nn.Flatten(), torch.nn.Linear(48, 3, dtype=torch.float32)
    )


def _optimizer(model: Any) -> Any:
    import torch

    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def _loss(model: Any, images: Any, labels: Any) -> Any:
    from torch.nn import functional

    return functional.cross_entropy(model(images), labels)


def _train(model: Any, optimizer: Any, batch: Any) -> None:
    optimizer.zero_grad()
    _loss(model, *batch).backward()
    optimizer.step()


def _weights(model: Any) -> list[float]:
    return [value for tensor in model.parameters() for value in tensor.flatten().tolist()]


def start(folder: str, out: Path, workers: int, stop: int) -> list[float] | None:
    """A `DataLoader`; the script counts steps, and leaves out those that are done."""
    import torch
    from torch.utils.data import DataLoader

    model = _model()
    optimizer, step, saved = _optimizer(model), 0, out / "state.pt"
    if saved.exists():
        model_state, optimizer_state, step = torch.load(saved)
        model.load_state_dict(model_state)
        optimizer.load_state_dict(optimizer_state)
    dataset = _dataset(folder)
    first, done = divmod(step, -(-len(dataset) // BATCH))
    order = _order(dataset, start=done * BATCH)
    loader = DataLoader(dataset, BATCH, sampler=order, num_workers=workers)
    for epoch in range(first, EPOCHS):
        dataset.set_epoch(epoch)
        for batch in loader:
            _train(model, optimizer, batch)
            step += 1
            if step == stop:
                torch.save((model.state_dict(), optimizer.state_dict(), step), saved)
                return None
    return _weights(model)


def stateful(folder: str, out: Path, workers: int, stop: int) -> list[float] | None:
    """The loader is saved where the run stops, with the number of the epoch."""
    import torch
    from torchdata.stateful_dataloader import StatefulDataLoader

    model, dataset = _model(), _dataset(folder)
    optimizer, step, first, saved = _optimizer(model), 0, 0, out / "state.pt"
    order = _order(dataset)
    loader = StatefulDataLoader(dataset, BATCH, sampler=order, num_workers=workers)
    if saved.exists():
        model_state, optimizer_state, loader_state, step, first = torch.load(saved)
        model.load_state_dict(model_state)
        optimizer.load_state_dict(optimizer_state)
        loader.load_state_dict(loader_state)
    for epoch in range(first, EPOCHS):
        dataset.set_epoch(epoch)
        for batch in loader:
            _train(model, optimizer, batch)
            step += 1
            if step == stop:
                states = [one.state_dict() for one in (model, optimizer, loader)]
                torch.save((*states, step, epoch), saved)
                return None
    return _weights(model)


def lightning(
    folder: str, out: Path, workers: int, stop: int, *, processes: int = 1, by_epoch: bool = False
) -> list[float] | None:
    """A `Trainer` with `ModelCheckpoint`, on a `StatefulDataLoader`."""
    import warnings

    import lightning
    import torch
    from lightning.pytorch.callbacks import Callback, ModelCheckpoint
    from torchdata.stateful_dataloader import StatefulDataLoader

    warnings.simplefilter("ignore")

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = _model()

        def train_dataloader(self) -> Any:
            dataset = _dataset(folder)
            shard = (self.trainer.global_rank, self.trainer.world_size)
            order = _order(dataset, shard=shard, even="drop")
            order.set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)
            return StatefulDataLoader(dataset, BATCH, sampler=order, num_workers=workers)

        def training_step(self, batch: Any, number: int) -> Any:
            return _loss(self.model, *batch)

        def configure_optimizers(self) -> Any:
            return _optimizer(self.model)

        def on_fit_end(self) -> None:
            if self.global_rank == 0:
                torch.save(_weights(self.model), out / "weights.pt")

    class Stop(Callback):
        def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
            if stop and trainer.global_step == stop:
                raise StoppedError

    saved = sorted(out.glob("*.ckpt"))
    # with ``by_epoch``, after the epoch; otherwise after its last step
    often = {"every_n_epochs": 1} if by_epoch else {"every_n_train_steps": stop}
    checkpoint = ModelCheckpoint(dirpath=out, save_top_k=-1, **often) if stop else Stop()
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=processes,
        strategy="ddp_fork" if processes > 1 else "auto",
        max_epochs=EPOCHS,
        use_distributed_sampler=False,
        callbacks=[checkpoint, Stop()],
        logger=False,
        enable_checkpointing=bool(stop),
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    try:
        trainer.fit(Module(), ckpt_path=saved[-1] if saved else None, weights_only=False)
    except Exception as error:
        if stop and "StoppedError" in f"{type(error).__name__} {error}":
            return None
        raise
    found: list[float] = torch.load(out / "weights.pt")
    return found


def accelerate(
    folder: str, out: Path, workers: int, stop: int, *, processes: int = 1
) -> list[float] | None:
    """`skip_first_batches` of a `DataLoader`; the processes share the batches of one order."""
    import torch

    if processes == 1:
        _accelerate(folder, out, workers, stop)
    else:
        from accelerate import debug_launcher

        debug_launcher(_accelerate, (folder, out, workers, stop), num_processes=processes)
    return None if stop else torch.load(out / "weights.pt")


def _accelerate(folder: str, out: Path, workers: int, stop: int) -> None:
    import torch
    from accelerate import Accelerator, skip_first_batches
    from torch.utils.data import DataLoader

    accelerator, dataset, model = Accelerator(cpu=True), _dataset(folder), _model()
    loader = DataLoader(dataset, BATCH, sampler=_order(dataset), num_workers=workers)
    model, optimizer, loader = accelerator.prepare(model, _optimizer(model), loader)
    step, saved = 0, out / "steps"
    if saved.exists():
        step = int(saved.read_text())
        accelerator.load_state(str(out / "state"))
    first, done = divmod(step, len(loader))
    for epoch in range(first, EPOCHS):
        batches = skip_first_batches(loader, done) if epoch == first else loader
        batches.set_epoch(epoch)
        for batch in batches:
            optimizer.zero_grad()
            accelerator.backward(_loss(model, *batch))
            optimizer.step()
            step += 1
            if step == stop:
                accelerator.save_state(str(out / "state"))
                saved.write_text(str(step))
                return
    if accelerator.is_main_process:
        torch.save(_weights(model), out / "weights.pt")


def transformers(folder: str, out: Path, workers: int, stop: int) -> list[float] | None:
    """`Trainer` shuffles itself, and skips batches when it resumes.

    It sets the epoch of a dataset, but not when it skips batches; so a callback does.
    """
    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = _model()

        def forward(self, image: Any, labels: Any) -> Any:
            return {"loss": _loss(self.model, image, labels)}

    dataset = _dataset(folder, as_supervised=False)

    class SetEpoch(TrainerCallback):
        def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            dataset.set_epoch(int(state.epoch or 0))

    class Stop(TrainerCallback):
        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = True

    arguments = TrainingArguments(
        str(out),
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=BATCH,
        dataloader_num_workers=workers,
        use_cpu=True,
        save_strategy="steps" if stop else "no",
        save_steps=stop or 500,
        report_to="none",
        disable_tqdm=True,
    )
    model = Model()
    trainer = Trainer(
        model,
        arguments,
        train_dataset=dataset,
        callbacks=[SetEpoch(), *([Stop()] if stop else [])],
    )
    trainer.train(resume_from_checkpoint=any(out.glob("checkpoint-*")))
    return None if stop else _weights(model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainer:
    """One row of the table.

    Attributes:
        packages: those whose versions the table shows.
        run: how it trains.
        at_end: how it trains where it saves at an end in other ways.
        stops: after which step it stops.
    """

    packages: tuple[str, ...]
    run: Train
    at_end: Sequence[Train] = ()
    stops: Mapping[str, int]


TRAINERS: Mapping[str, Trainer] = {
    "PyTorch, `Order(start=…)`": Trainer(packages=("torch",), run=start, stops=STOPS),
    "`StatefulDataLoader`": Trainer(packages=("torchdata", "torch"), run=stateful, stops=STOPS),
    "Lightning on `StatefulDataLoader`": Trainer(
        packages=("lightning", "torchdata", "torch"),
        run=lightning,
        at_end=[partial(lightning, by_epoch=True)],
        stops=STOPS,
    ),
    "the same, DDP of 2": Trainer(
        packages=("lightning", "torchdata", "torch"),
        run=partial(lightning, processes=2),
        at_end=[partial(lightning, processes=2, by_epoch=True)],
        stops=STOPS_OF_TWO,
    ),
    "Accelerate, `skip_first_batches`": Trainer(
        packages=("accelerate", "torch"), run=accelerate, stops=STOPS
    ),
    "the same, 2 processes": Trainer(
        packages=("accelerate", "torch"),
        run=partial(accelerate, processes=2),
        stops=STOPS_OF_TWO,
    ),
    "Transformers `Trainer`": Trainer(
        packages=("transformers", "torch"), run=transformers, stops=STOPS
    ),
}


def verdicts(trainer: Trainer, folder: str) -> dict[str, str]:
    """Return for each place of a stop and number of workers whether the weights are equal."""
    found = {}
    for workers in (0, 2):
        whole = _finish(trainer.run, folder, workers, 0)
        for place, stop in trainer.stops.items():
            runs = [trainer.run, *(trainer.at_end if place == "at an end" else ())]
            equal = [_finish(run, folder, workers, stop) == whole for run in runs]
            found[f"{place}, {workers}"] = "yes" if all(equal) else f"NO: {equal}"
    return found


def _finish(run: Train, folder: str, workers: int, stop: int) -> list[float]:
    """Train to the end, stopped on the way if ``stop`` is not 0."""
    with tempfile.TemporaryDirectory() as out:
        if stop:
            assert run(folder, Path(out), workers, stop) is None
        weights = run(folder, Path(out), workers, 0)
    assert weights
    return weights


COLUMNS = [f"{place}, {workers}" for place in STOPS for workers in (0, 2)]


Row = tuple[str, Mapping[str, "str | None"], Mapping[str, str]]
"""A trainer, the versions of its packages, its verdicts by column."""


def run_process(name: str, folder: str, result: Path) -> None:
    """Run one trainer, and write its verdicts."""
    result.write_text(json.dumps(verdicts(TRAINERS[name], folder)))


def rows(names: Iterable[str]) -> Iterator[Row]:
    """Run each trainer in a process of its own: its versions, and its verdicts."""
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(2) as pool:
        folder = Path(temporary, "photos")
        exact.write(folder)
        yield from pool.map(lambda name: _row(name, folder), names)


def _row(name: str, folder: Path) -> Row:
    versions = {package: exact.version(package) for package in TRAINERS[name].packages}
    if None in versions.values():
        return name, versions, dict.fromkeys(COLUMNS, "not run")
    with tempfile.TemporaryDirectory() as out:
        result = Path(out, "result.json")
        done = subprocess.run(
            [sys.executable, "-m", __spec__.name, "--process", name, str(folder), str(result)],
            env=exact.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            last = "".join(done.stderr.strip().splitlines()[-1:])
            return name, versions, dict.fromkeys(COLUMNS, f"NO: {last}")
        return name, versions, json.loads(result.read_text())


def table(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    heads = [f"{column} workers" for column in COLUMNS]
    yield f"| trainer | versions | {' | '.join(heads)} |"
    yield "|---|---|" + "---|" * len(heads)
    for name, versions, of_columns in rows:
        shown = ", ".join(f"{one} {number or 'not installed'}" for one, number in versions.items())
        yield f"| {name} | {shown} | {' | '.join(of_columns[column] for column in COLUMNS)} |"


def main() -> int:
    """Print the table, or run one of its processes."""
    if sys.argv[1:2] == ["--process"]:
        _, _, name, folder, result = sys.argv
        run_process(name, folder, Path(result))
        return 0
    found = list(rows(list(TRAINERS)))
    sys.stdout.writelines(f"{line}\n" for line in table(found))
    return int(any(one.startswith("NO") for _, _, columns in found for one in columns.values()))


if __name__ == "__main__":
    sys.exit(main())
