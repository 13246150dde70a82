"""The commands as functions: ``tfrec_cli.write(…)`` is ``tfrec write``, and so on.

Knows: what a Python caller may give for an option. Must not know: the command line.

Keywords have the names, defaults and meaning of the options of the command line. Paths are ``str``
or ``os.PathLike``. A function prints nothing; it returns what its command reports.

``progress`` is a function that is called with a text that says what is being done, the number of
things done, and the number of all things.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

from tfrec_cli import seeds
from tfrec_cli.dataset.names import Missing
from tfrec_cli.errors import UsageError
from tfrec_cli.imaging.policy import MAX_PIXELS
from tfrec_cli.runtime import values
from tfrec_cli.writing import options
from tfrec_cli.writing.options import WriteOptions

if TYPE_CHECKING:
    from tfrec_cli.checking.finding import Finding
    from tfrec_cli.commands.check import CheckedSource
    from tfrec_cli.commands.extract import Extracted
    from tfrec_cli.commands.merge import Merged
    from tfrec_cli.commands.reshard import Resharded
    from tfrec_cli.commands.salvage import Salvaged
    from tfrec_cli.commands.verify import Verified
    from tfrec_cli.commands.write import Written
    from tfrec_cli.dataset.names import KeyStyle
    from tfrec_cli.imaging.policy import Alpha, Depth, Encoding, Exif, Frames
    from tfrec_cli.inspecting.tally import Summary
    from tfrec_cli.resharding import new_split
    from tfrec_cli.runtime.pool import Progress
    from tfrec_cli.tfrecord.compression import WrittenCompression
    from tfrec_cli.writing.options import Check, OnError, Small

__all__ = [
    "CheckedSource",
    "Extracted",
    "Finding",
    "Merged",
    "Resharded",
    "Salvaged",
    "Summary",
    "Verified",
    "Written",
]
__all__ += ["check", "extract", "inspect", "merge", "reshard", "salvage", "verify", "write"]

_RESULTS = {
    "CheckedSource": "commands.check",
    "Extracted": "commands.extract",
    "Finding": "checking.finding",
    "Merged": "commands.merge",
    "Resharded": "commands.reshard",
    "Salvaged": "commands.salvage",
    "Summary": "inspecting.tally",
    "Verified": "commands.verify",
    "Written": "commands.write",
}
"""Modules of the types of results; loaded at first use."""

_Plain = TypeVar("_Plain")
StrPath = str | os.PathLike[str]
Where = str | Sequence[str] | Mapping[str, str | int | Sequence[str | int]]


def write(
    source: StrPath,
    out: StrPath,
    *,
    crop: int | str | Sequence[int] | None = None,
    encoding: Encoding | None = None,
    jpeg_quality: int = 95,
    depth: Depth = 8,
    resize_short: int | None = None,
    split: str | Mapping[str, float] = "train",
    split_by: str | None = None,
    split_column: str | None = None,
    labels: StrPath = "auto",
    first_label: int = 0,
    root: StrPath | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    suffix: str | None = None,
    keys: KeyStyle = "plain",
    shards: int | None = None,
    shard_size: int | str = "128MiB",
    shuffle_seed: int | None = 0,
    on_error: OnError = "fail",
    max_errors: int | str | None = None,
    small: Small = "fail",
    check: Check = "structure",
    exif: Exif = "apply",
    strip_metadata: bool = False,
    alpha: Alpha = "drop",
    frames: Frames = "first",
    max_pixels: int = MAX_PIXELS,
    compression: WrittenCompression = "none",
    index: bool | None = None,
    jobs: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Written:
    """Write the images of ``source`` to the dataset ``out``, as one split or several.

    Either the split appears with every file that its manifest names; or ``out`` stays as it was; or
    an unfinished write waits there for ``resume=True``.

    Args:
        source: a folder whose sub-folders are classes, or an image list: a .csv, .tsv or .jsonl
            file with a column ``path`` and, if you like, a column ``label``; its other columns
            become features.
        out: a new or empty folder, or a dataset that gets another split.
        crop: size of centre crops in pixels: 128 for a square, (96, 128) or "96x128" for
            (height, width); None stores whole images.
        encoding: how crops are stored: ``"raw"`` (uint8 RGB values, row by row), ``"png"`` or
            ``"jpeg"``; None means raw, or png with ``keys="tf-models"`` or ``depth=16``.
        jpeg_quality: quality of crops stored as JPEG, 1 to 100.
        depth: bits of a sample. 16: images of more than 8 bits are stored as PNG of 16; those of 8
            stay as they are, but crops all have 16.
        resize_short: first scale each image so that its shorter side has this many pixels.
        split: name of the split; or several names with their shares, such as
            ``{"train": 0.9, "val": 0.1}`` or ``"train=90,val=10"``: the images of each class are
            divided by content, and copies stay together. ``"folders"`` makes each folder in
            ``source`` a split of its name.
        split_by: with several splits, a column of an image list: images with the same value in it,
            such as those of one patient, scene or video, are never parted.
        split_column: column of an image list; each value in it is the name of a split.
        labels: ``"auto"`` takes the sub-folders, or the column ``label``, as classes, where whole
            numbers are the class numbers; ``"none"`` stores no labels; in folders of folders,
            ``"top"`` takes the first folder as the class, ``"leaf"`` the one that holds the image,
            ``"path"`` both with all between; else a file with the names of the classes, one on each
            line, numbered in this order or by a number in front of each, or a label map (.pbtxt).
        first_label: number of the first class, unless the image list or the file has numbers.
        root: the folder that the paths of an image list are relative to; None means the list's own.
        path_column: column of the paths in an image list; None takes ``path``, ``filename``,
            ``image``… if one of them is there.
        label_column: column of the labels; None takes ``label``, ``class``, ``target``… likewise.
        suffix: text to add to each path of an image list, such as ``".jpg"``.
        keys: names of the features: ``"plain"`` (image, label…) or ``"tf-models"`` (image/encoded,
            image/class/label…).
        shards: number of shards; None chooses it by ``shard_size``.
        shard_size: approximate size of a shard: a number of bytes, or a text such as ``"128MiB"``.
        shuffle_seed: seed of the order of the records; None keeps the order of their paths.
        on_error: what to do if an image, or a line of an image list, cannot be used: ``"fail"`` or
            ``"skip"``.
        max_errors: with ``on_error="skip"``, how many images may be skipped: a number, or a share
            such as ``"1%"``.
        small: what to do if an image is smaller than the crop: ``"fail"``, ``"skip"``, ``"pad"`` or
            ``"resize"``.
        check: how images are checked: ``"structure"``, or ``"decode"`` to decode whole ones too, as
            crops always are; ``"intact"`` decodes all of each image, and refuses JPEGs with damaged
            data.
        exif: ``"apply"`` turns images upright by their EXIF orientation, ``"ignore"`` does not.
        strip_metadata: remove EXIF (with places), XMP, comments and previews from whole images that
            keep their bytes; crops and converted images never have them. Pixels and colour profiles
            stay.
        alpha: what to do with transparency: ``"drop"`` it, put the image on ``"white"`` or
            ``"black"``, or ``"fail"``.
        frames: what to do with an animation: take its ``"first"`` frame, or ``"fail"``.
        max_pixels: images of more pixels are refused.
        compression: of the shards: ``"none"``, or ``"gzip"``, which allows no random access.
        index: write index files for DALI and PyTorch; None means yes, unless shards are compressed.
        jobs: number of processes; None means one for each processor.
        overwrite: replace the split when the new one is complete.
        resume: continue the same write after an interruption.
        dry_run: write nothing, and return what would be written.
        progress: see above.
    Returns:
        What was written. If there are several splits, it is the result of the first one, and its
        ``splits`` has all.
    Raises:
        MissingPathError: ``source``, ``root`` or the file of labels does not exist.
        UsageError: a value is out of range or of another type, or contradicts other values or the
            images.
        DataError: no image can be used; an image cannot be used, and ``on_error`` is "fail"; more
            than ``max_errors`` images cannot be used; labels differ from those of another split; or
            an image list is wrong.
        RunError: ``out`` contains something else, or cannot be written.
    Examples:
        >>> import tfrec_cli
        >>> written = tfrec_cli.write("images", "new", crop=128, on_error="skip", jobs=1)
        >>> written.records, len(written.rejects)
        (39, 1)
    """
    given = locals()
    from tfrec_cli.commands import write as command

    asked = WriteOptions.of(**{option.name: given[option.name] for option in fields(WriteOptions)})
    where = values.path("source", source), values.path("out", out)
    return command.write(*where, asked, progress or _ignore)


def check(
    source: StrPath,
    *,
    crop: int | str | Sequence[int] | None = None,
    resize_short: int | None = None,
    depth: Depth = 8,
    exif: Exif = "apply",
    alpha: Alpha = "drop",
    frames: Frames = "first",
    labels: StrPath = "auto",
    first_label: int = 0,
    split: str | Mapping[str, float] = "train",
    split_column: str | None = None,
    root: StrPath | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    suffix: str | None = None,
    on_error: OnError = "fail",
    max_errors: int | str | None = None,
    small: Small = "fail",
    check: Check = "decode",
    max_pixels: int = MAX_PIXELS,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> CheckedSource:
    """Check the images of ``source`` as `write` does, and write nothing.

    With the same options, `write` takes and refuses the same images.

    Args:
        source: a folder or an image list, as for `write`.
        crop: as for `write`, and so are all options that are not described here.
        resize_short: see `write`.
        depth: see `write`.
        exif: see `write`.
        alpha: see `write`.
        frames: see `write`.
        labels: see `write`.
        first_label: see `write`.
        split: see `write`.
        split_column: see `write`.
        root: see `write`.
        path_column: see `write`.
        label_column: see `write`.
        suffix: see `write`.
        on_error: see `write`.
        max_errors: see `write`.
        small: see `write`.
        check: ``"decode"`` decodes every image, ``"structure"`` only those that are cropped;
            ``"intact"`` also refuses JPEGs with damaged data.
        max_pixels: see `write`.
        jobs: number of processes; None means one for each processor.
        progress: see above.
    Returns:
        How many images `write` would take, and which it would leave out.
    Raises:
        MissingPathError, UsageError: as for `write`.
        BadImagesError: images cannot be used, and ``on_error`` is "fail"; its ``details`` name all.
        DataError: as for `write`.
    Examples:
        >>> import tfrec_cli
        >>> tfrec_cli.check("images", crop=128, on_error="skip", jobs=1).images
        39
    """
    given = locals()
    from tfrec_cli.commands import check as command

    names = [option.name for option in fields(WriteOptions) if option.name in given]
    asked = WriteOptions.of(**{name: given[name] for name in names})
    return command.check(values.path("source", source), asked, progress or _ignore)


def inspect(
    paths: StrPath | Iterable[StrPath],
    *,
    split: str | None = None,
    contact_sheet: StrPath | None = None,
    html: StrPath | None = None,
    crop: int | str | Sequence[int] | None = None,
    seed: int | None = None,
) -> Summary:
    """Count what is in TFRecord files. Files of other programs work too.

    Args:
        paths: a record file, a folder of record files, or a glob pattern; or several of these. The
            other files of a dataset, such as manifests and index files, are skipped.
        split: count only the files of this split, by a manifest or their names; None counts all.
        contact_sheet: .png, .jpg or .webp file to write, with up to 40 images from all parts of
            the files.
        html: HTML page to write, with the result and the images.
        crop: size of crops to show, as for `write`; None shows whole images.
        seed: cut the crops that a reader with this seed cuts in epoch 0; None cuts centre crops.
    Returns:
        What the records are, their features, image sizes and labels. Damaged files are not an
        error: ``problems`` lists them, and ``ok`` is false. ``skipped`` has the skipped files.
    Raises:
        MissingPathError: there is no such file or folder.
        UsageError: no file matches a pattern, all files are skipped, or a value is out of range or
            of another type.
        DataError: a sheet or page is requested, and no image can be shown.
        RunError: ``contact_sheet`` or ``html`` is a file of another kind.
    Examples:
        >>> import tfrec_cli
        >>> summary = tfrec_cli.inspect("out")
        >>> summary.records, summary.ok, summary.labels[0]
        (40, True, 14)
    """
    from tfrec_cli.commands import inspect_ as command

    several = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    patterns = [os.fspath(values.path("paths", path)) for path in several]
    if not patterns:
        raise UsageError("`paths`: found none, expected at least one")
    if crop is not None and contact_sheet is None and html is None:
        raise UsageError("`crop`: needs `contact_sheet` or `html`")
    if seed is not None and crop is None:
        raise UsageError("`seed`: needs `crop`")
    sheet = _optional(values.path, "contact_sheet", contact_sheet)
    page_file = _optional(values.path, "html", html)
    size = options.read("crop", crop)
    seed = _optional(seeds.read_seed, "seed", seed)
    split = _optional(values.text, "split", split)
    if not sheet and not page_file:
        return command.summarise(*command.find(patterns, split))
    from tfrec_cli.report import page

    page.check_replaceable(sheet, page_file)
    files, skipped = command.find(patterns, split)
    summary = command.summarise(files, skipped)
    page.draw(files, summary, contact_sheet=sheet, html=page_file, crop=size, seed=seed)
    return summary


def verify(
    path: StrPath = ".",
    *,
    split: str | None = None,
    seed: int | None = None,
    crop: int | str | Sequence[int] | None = None,
    epochs: int = 1,
    quick: bool = False,
    source: StrPath | Mapping[str, StrPath] | None = None,
    root: StrPath | None = None,
    expect: str | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Verified:
    """Check that a dataset is complete and intact.

    Args:
        path: a dataset, a record file, or a folder of record files.
        split: check only this split, and the files about all splits; None checks all.
        seed: compute the crop of every record, compare it with the crop by tf.data if TensorFlow is
            installed, and compute a fingerprint of all crops.
        crop: with ``seed``, size of the crops, as for `write`. None takes the stored size, or for
            whole images 128 or the smallest side, whichever is less.
        epochs: with ``seed``, check the crops of epochs 0 to ``epochs - 1``.
        quick: check every byte, but do not decode images.
        source: the folder or image list that the dataset was written from, or one for each split:
            ``{"train": "images/train"}``. Every image must be in the dataset once, with its label,
            and give the same record again (with ``quick``, only names and labels are compared).
        root: the folder that the paths of an image list are relative to; None means the list's own.
        expect: with ``seed``, the expected fingerprint. If the computed fingerprint differs, that
            is a finding.
        jobs: number of processes; None means one for each processor.
        progress: see above.
    Returns:
        What was checked, and what is wrong. Findings are not an error: ``findings`` lists them, and
        ``ok`` is false if there are any.
    Raises:
        MissingPathError: ``path``, ``source`` or ``root`` does not exist.
        UsageError: a value is out of range or of another type, or contradicts another value or the
            data.
        RunError: a file cannot be read.
    Examples:
        >>> import tfrec_cli
        >>> verified = tfrec_cli.verify("out", seed=42, crop=64)
        >>> verified.ok, verified.records, verified.fingerprint
        (True, 40, 'seed42-64x64-e0:2134fb145ea1...')
    """
    from tfrec_cli.commands import verify as command

    given: list[tuple[str | None, StrPath]] = []
    if isinstance(source, Mapping):
        given += source.items()
    elif source is not None:
        given += [(None, source)]
    asked = command.Options(
        split=_optional(values.text, "split", split),
        seed=_optional(seeds.read_seed, "seed", seed),
        crop=options.read("crop", crop),
        epochs=values.whole("epochs", epochs, 1),
        quick=values.flag("quick", quick),
        source=tuple((name, values.path("source", one)) for name, one in given),
        root=options.read("root", root),
        expect=_optional(values.text, "expect", expect),
        jobs=options.read("jobs", jobs),
    )
    return command.verify(values.path("path", path), asked, progress or _ignore)


def salvage(
    shard: StrPath,
    out: StrPath,
    *,
    source: StrPath | None = None,
    root: StrPath | None = None,
) -> Salvaged:
    """Write every intact record of a damaged record file to a new one.

    Args:
        shard: the damaged file, compressed or not.
        out: the new file; it appears when it is complete.
        source: the folder or image list that ``shard`` was written from. Lost images are then
            listed by name.
        root: the folder that the paths of an image list are relative to; None means the list's own.
    Returns:
        What was saved, and what is lost; ``ok`` is false if something is lost.
    Raises:
        MissingPathError: ``shard``, ``source`` or ``root`` does not exist.
        UsageError: ``source`` is given, but no manifest next to ``shard`` names that file.
        RunError: ``out`` exists or cannot be written, ``shard`` cannot be read, or ``source`` is
            not what was written.
    Examples:
        >>> import tfrec_cli
        >>> saved = tfrec_cli.salvage("out/train-00000-of-00001.tfrecord", "saved.tfrecord")
        >>> saved.records, saved.ok
        (40, True)
    """
    from tfrec_cli.commands import salvage as command

    asked = command.Options(
        source=_optional(values.path, "source", source), root=options.read("root", root)
    )
    return command.salvage(values.path("shard", shard), values.path("out", out), asked)


def extract(
    dataset: StrPath,
    out: StrPath,
    *,
    split: str | None = None,
    image: str | None = None,
    missing: Missing = "fail",
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Extracted:
    """Write the images of a dataset as files into a new folder, with the names in the records.

    Images that `write` stored unchanged come back byte for byte. Other images are written as they
    are stored, raw crops as PNG.

    Args:
        dataset: a dataset, a record file, or a folder of record files, also of other programs.
        out: the new folder; it appears when all files are in it.
        split: extract only this split; None takes all, each in its own folder if there are several.
        image: the feature that holds the images of another program's records; None takes that of a
            common name, or the only one that holds images.
        missing: what to do with records of another program that have no image: ``"fail"``, or
            ``"skip"`` them, and count them in the result.
        jobs: number of processes; None means one for each processor.
        progress: see above.
    Returns:
        How many files of each format were written, and how they were named.
    Raises:
        MissingPathError: ``dataset`` does not exist.
        UsageError: there is no such split or feature, or a value is out of range or of another
            type.
        DataError: a shard is missing or damaged, a record has no image, several features hold
            images and none was chosen, or two records of a dataset of tfrec have the same name.
        RunError: ``out`` is not new, or cannot be written.
    Examples:
        >>> import tfrec_cli
        >>> extracted = tfrec_cli.extract("out", "files")
        >>> extracted.files, extracted.formats
        (40, {'jpeg': 28, 'png': 12})
    """
    from tfrec_cli.commands import extract as command

    asked = command.Options(
        split=_optional(values.text, "split", split),
        image=_optional(values.text, "image", image),
        missing=cast("Missing", values.word("missing", missing, get_args(Missing))),
        jobs=options.read("jobs", jobs),
    )
    where = values.path("dataset", dataset), values.path("out", out)
    return command.extract(*where, asked, progress or _ignore)


def reshard(
    dataset: StrPath,
    out: StrPath,
    *,
    split: str | None = None,
    where: Where = (),
    limit: int | None = None,
    shards: int | None = None,
    shard_size: int | str | None = None,
    index: bool | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Resharded:
    """Copy a dataset, or some of its records, into a new folder with other shards.

    The records and their order stay the same. The new files are those that `write` would make with
    this number of shards.

    Args:
        dataset: a dataset that `write` made; or a file, a folder or a glob pattern of record files
            of any program: then only the records are copied.
        out: the new folder; it appears when it is complete.
        split: copy only this split; None copies all.
        where: copy only records with these values: ``{"label": ["cat", "dog"]}``, or texts such as
            ``"label=cat,dog"``.
        limit: copy only so many records of each split, the first ones, after ``where``.
        shards: number of shards of each split.
        shard_size: instead of ``shards``, the approximate size of a shard: a number of bytes, or a
            text such as ``"128MiB"``, which is the default with ``split``, ``where`` or ``limit``,
            or for record files of other programs.
        index: write index files for DALI and PyTorch; None means yes if the dataset
            has index files.
        jobs: number of processes; None means one for each processor.
        progress: see above.
    Returns:
        The manifests of all splits, before and after.
    Raises:
        MissingPathError: ``dataset`` does not exist.
        UsageError: nothing is to be changed in a dataset, or ``shards`` and ``shard_size`` are both
            given; there are more shards than records, no such split, or no record that ``where``
            selects.
        DataError: a file is missing, damaged, or differs from the manifest.
        RunError: ``out`` is not new, or cannot be written.
    Examples:
        >>> import tfrec_cli
        >>> resharded = tfrec_cli.reshard("out", "four", shards=4)
        >>> [shard.records for shard in resharded.after[0].shards]
        [10, 10, 10, 10]
    """
    from tfrec_cli.commands import reshard as command

    asked = _copying(split, where, limit, shards, shard_size, index, jobs)
    where_to = values.path("dataset", dataset), values.path("out", out)
    return command.reshard(*where_to, asked, progress or _ignore)


def merge(
    datasets: Iterable[StrPath],
    out: StrPath,
    *,
    split: str | None = None,
    where: Where = (),
    limit: int | None = None,
    shards: int | None = None,
    shard_size: int | str = "128MiB",
    index: bool | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Merged:
    """Copy two or more datasets into a new folder as one dataset.

    Splits of the same name become one: first the records of the first dataset, then those of the
    second. Other splits are copied too. The records stay the same, so images must be stored in the
    same way, and class numbers must mean the same: all lists of class names are equal, or begin the
    longest one.

    Args:
        datasets: two or more datasets that `write` made.
        out: the new folder; it appears when it is complete.
        split: merge only this split; None merges all.
        where: copy only records with these values: ``{"label": ["cat", "dog"]}``, or texts such as
            ``"label=cat,dog"``.
        limit: copy only so many records into each new split, the first ones, after ``where``.
        shards: number of shards of each split; None chooses it by ``shard_size``.
        shard_size: approximate size of a shard: a number of bytes, or a text such as ``"128MiB"``.
        index: write index files for DALI and PyTorch; None means yes if a dataset has some.
        jobs: number of processes; None means one for each processor.
        progress: see above.
    Returns:
        The manifest of each new split, and what it has of each dataset.
    Raises:
        MissingPathError: a dataset does not exist.
        UsageError: there are fewer than two datasets, or one without a manifest; there are more
            shards than records, or there is no record that ``where`` selects.
        DataError: a file is missing, damaged, or differs from the manifest; or the datasets differ
            in how images are stored, in class names or columns, or have images of one name.
        RunError: ``out`` is not new, or cannot be written.
    Examples:
        >>> import tfrec_cli
        >>> some = tfrec_cli.reshard("out", "some", where={"label": 0})
        >>> others = tfrec_cli.reshard("out", "others", where={"label": [1, 2]})
        >>> merged = tfrec_cli.merge(["some", "others"], "all", shards=2)
        >>> [part.records for part in merged.splits[0].parts]
        [14, 26]
    """
    from tfrec_cli.commands import merge as command

    several = [datasets] if isinstance(datasets, (str, os.PathLike)) else list(datasets)
    size = None if shards is not None else shard_size
    asked = _copying(split, where, limit, shards, size, index, jobs)
    paths = [values.path("datasets", path) for path in several]
    return command.merge(paths, values.path("out", out), asked, progress or _ignore)


def _copying(
    split: str | None,
    where: Where,
    limit: int | None,
    shards: int | None,
    shard_size: int | str | None,
    index: bool | None,
    jobs: int | None,
) -> new_split.Options:
    """Read the options of the commands that copy records."""
    from tfrec_cli.resharding import new_split, select

    return new_split.Options(
        split=_optional(values.text, "split", split),
        where=select.read(where),
        limit=None if limit is None else values.whole("limit", limit, 1),
        shards=options.read("shards", shards),
        shard_size=_optional(options.read, "shard_size", shard_size),
        index=options.read("index", index),
        jobs=options.read("jobs", jobs),
    )


if not TYPE_CHECKING:  # type checkers must report unknown names

    def __getattr__(name: str) -> Any:
        if name not in _RESULTS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"tfrec_cli.{_RESULTS[name]}"), name)


def _ignore(*_: Any) -> None:
    """Show no progress."""


def _optional(read: Callable[[str, Any], _Plain], name: str, value: object) -> _Plain | None:
    return None if value is None else read(name, value)
