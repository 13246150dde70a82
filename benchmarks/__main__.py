"""Time everything: python -m benchmarks IMAGES; see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks import chart, machine, results
from benchmarks.clock import cores
from benchmarks.contest import Outcome, contest
from benchmarks.errors import BenchmarkError
from benchmarks.folders import plain_photos, prepare
from benchmarks.run import run
from benchmarks.works import Work, against, works


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("images", type=Path, help="class folders of JPEG photos")
    parser.add_argument("--runs", type=_count, default=5, metavar="N", help="rounds [5]")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[work.name for work in works(0)],
        metavar="WORK",
        help="of: %(choices)s",
    )
    parser.add_argument("--peers", action="store_true", help="other packages too")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CHECKOUT",
        help="also an earlier commit, in turn: a checkout in which `make setup` was run",
    )
    parser.add_argument(
        "--repeat", type=_count, metavar="N", help="repeat the photos to get N of them"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="folder of results.json, chart.png"
    )
    parser.add_argument("--no-chart", action="store_true", help="needs no matplotlib")
    return parser.parse_args()


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number from 1")
    return int(text)


def chosen(asked: argparse.Namespace, photos: int) -> list[Work]:
    """Return the works to run, with or without peers and an earlier commit."""
    todo = [
        replace(
            work,
            contestants=tuple(one for one in work.contestants if asked.peers or one.role != "peer"),
        )
        for work in works(photos)
        if not asked.only or work.name in asked.only
    ]
    return [against(work, asked.against.resolve()) for work in todo] if asked.against else todo


def main(asked: argparse.Namespace) -> None:
    """Run works in turn, print each table when it is ready, write JSON and chart.

    Raises:
        BenchmarkError: a contestant failed, or its result was wrong.
    """
    if not asked.no_chart and importlib.util.find_spec("matplotlib") is None:
        raise BenchmarkError("matplotlib is not installed; --no-chart does without it")
    photos = plain_photos(asked.images.resolve())
    load = os.getloadavg()[0]
    count = asked.repeat or len(photos)
    todo = chosen(asked, count)
    contestants = [one for work in todo for one in work.contestants]
    commands = [f"{one.command} {one.before or ''}" for one in contestants]
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="tfrec-benchmarks-") as scratch:
        os.environ["TMPDIR"] = scratch  # for files that contestants leave there
        places = prepare(
            photos,
            count,
            Path(scratch),
            commands,
            lambda command, places, checkout: run(command, places, checkout=checkout),
            asked.against and asked.against.resolve(),
        )
        for work in todo:
            outcomes.append(contest(work, places, Path(scratch), asked.runs, progress))
            print(results.table(outcomes[-1]), end="\n\n", flush=True)
    print(results.summary(outcomes))
    facts = {
        "machine": machine.describe(one.needs for one in contestants if one.needs),
        "load_before": load,
        "photos": count,
        "photos_bytes": sum(photos[n % len(photos)].stat().st_size for n in range(count)),
        "runs": asked.runs,
    }
    asked.out.mkdir(parents=True, exist_ok=True)
    document = json.dumps(results.document(outcomes, **facts), indent=1)
    (asked.out / "results.json").write_text(document + "\n", encoding="utf-8")
    if not asked.no_chart:
        caption = f"{count:,} photos, {cores()} cores, medians of {asked.runs}: longer is faster"
        chart.draw(outcomes, caption, asked.out / "chart.png")


def progress(what: str) -> None:
    """Show what is running, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="\r", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main(options())
    except BenchmarkError as error:
        sys.exit(f"benchmarks: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
