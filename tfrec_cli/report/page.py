"""The result of ``tfrec inspect`` as an HTML page, and images as a contact sheet."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfrec_cli.errors import RunError, UsageError
from tfrec_cli.imaging import formats
from tfrec_cli.inspecting.samples import samples as pick
from tfrec_cli.inspecting.spec import parse_spec
from tfrec_cli.report.format import plural, safe, size
from tfrec_cli.report.inspect_ import FEATURE_TITLES, feature_rows
from tfrec_cli.runtime.files import atomic_file

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

    from tfrec_cli.inspecting.samples import Sample
    from tfrec_cli.inspecting.tally import Summary

MOST_PICTURES = 40
"""Most images on a contact sheet or a page."""

_SHEET_FORMATS: tuple[formats.ImageFormat, ...] = ("png", "jpeg", "webp")

_THUMBNAIL_PX = 128
_CAPTION_PX = 14
_CAPTION_COLOURS = ("#333333", "#777777")
_GAP_PX = 6
_COLUMNS = 8
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;"
    "color:#222}table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left;"
    "border-bottom:1px solid #ddd;vertical-align:top}pre{background:#f4f4f4;padding:1rem;"
    "overflow:auto}.pictures{display:flex;flex-wrap:wrap;gap:.6rem}figure{margin:0;width:128px}"
    "figcaption{font-size:.7rem;overflow-wrap:anywhere}img{display:block}"
)


def check_replaceable(sheet: Path | None, page: Path | None) -> None:
    """Check the name of a contact sheet; refuse to replace a file of another kind.

    Raises:
        UsageError: the ending of a sheet is of no format that it can have.
        RunError: such a file exists.
    """
    if sheet:
        wanted = _sheet_format(sheet)
        head = _first_bytes(sheet)
        if head and formats.image_format(head) != wanted:
            kind = f"a {wanted.upper()} file"
            raise RunError(f"{sheet}: exists and is not {kind}, so it is not replaced")
    if page and _first_bytes(page)[:2] not in (b"", b"<!"):
        raise RunError(f"{page}: exists and is not a page, so it is not replaced")


def _sheet_format(path: Path) -> formats.ImageFormat:
    """Return the format of a contact sheet, by the ending of its name."""
    for wanted in _SHEET_FORMATS:
        if path.suffix.lower() in formats.EXTENSIONS[wanted]:
            return wanted
    *most, last = (formats.EXTENSIONS[one][0] for one in _SHEET_FORMATS)
    found = f"found {str(path)!r}, expected a name that ends in {', '.join(most)} or {last}"
    raise UsageError(f"`contact_sheet`: {found}")


def _first_bytes(path: Path) -> bytes:
    """Return the beginning of a file; nothing if it is empty, not there or no file."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(formats.HEAD_BYTES)


def write_contact_sheet(path: Path, samples: Sequence[Sample]) -> None:
    """Write a contact sheet in the format of its ending; it appears when it is complete."""
    with atomic_file(path) as file:
        contact_sheet(samples).save(file, _sheet_format(path), quality=90)


def write_html(path: Path, summary: Summary, spec: str, samples: Sequence[Sample]) -> None:
    """Write a page as an HTML file; it appears when it is complete."""
    content = html_page(summary, spec, samples).encode()
    with atomic_file(path) as file:
        file.write(content)


def draw(
    files: Sequence[Path],
    summary: Summary,
    *,
    contact_sheet: Path | None,
    html: Path | None,
    crop: tuple[int, int] | None,
    seed: int | None,
) -> list[str]:
    """Write a contact sheet, a page, both or none.

    Args:
        crop, seed: how images are cropped, see `inspecting.samples.samples`.
    Returns:
        A line for each file that was written.
    Raises:
        DataError: no image can be shown.
    """
    if not contact_sheet and not html:
        return []
    needed = contact_sheet or summary.names or _is_one(summary)
    pictures, small = pick(files, summary, MOST_PICTURES, crop, seed) if needed else ([], 0)
    if contact_sheet:
        write_contact_sheet(contact_sheet, pictures)
    if html:
        write_html(html, summary, parse_spec(summary, "RaggedFeature"), pictures)
    written = plural(len(pictures), "image")
    if small:
        verb = "was" if small == 1 else "were"
        written += f"; {small} of {len(pictures) + small} tried {verb} smaller than the crop"
    return [safe(f"wrote {path}: {written}") for path in (contact_sheet, html) if path]


def _is_one(summary: Summary) -> bool:
    """Tell whether one feature alone holds images, one a record."""
    spreads = [feature.images.spread() for feature in summary.images.values()]
    return len(spreads) == 1 and spreads[0] == (1, 1, 1)


def contact_sheet(samples: Sequence[Sample]) -> Image.Image:
    """Draw images in rows, each with its name and, if it has one, its class or folder below."""
    from PIL import Image, ImageDraw

    columns = min(_COLUMNS, len(samples))
    rows = -(-len(samples) // columns)
    cell, gap = _THUMBNAIL_PX, _GAP_PX
    below = _CAPTION_PX * (1 + any(sample.group for sample in samples))
    width = columns * (cell + gap) + gap
    height = rows * (cell + below + gap) + gap
    sheet = Image.new("RGB", (width, height), "#f4f4f4")
    draw = ImageDraw.Draw(sheet)
    for number, sample in enumerate(samples):
        picture = _thumbnail(sample)
        left = gap + number % columns * (cell + gap)
        top = gap + number // columns * (cell + below + gap)
        sheet.paste(picture, (left + (cell - picture.width) // 2, top + cell - picture.height))
        for line, text in enumerate((sample.caption.rsplit("/", 1)[-1], sample.group)):
            place = left + cell // 2, top + cell + 1 + line * _CAPTION_PX
            fitting = _fitting(safe(text), draw, cell)
            draw.text(place, fitting, fill=_CAPTION_COLOURS[line], anchor="ma")
    return sheet


def _fitting(text: str, draw: ImageDraw.ImageDraw, width_px: int) -> str:
    """Return a text, or its beginning and ``…`` if it is wider."""
    while text and draw.textlength(text) > width_px:
        text = text[:-2].rstrip("…") + "…"
    return text


def html_page(summary: Summary, spec: str, samples: Sequence[Sample]) -> str:
    """Make a page that needs no other files: tables, labels, images."""
    shards = _table(
        ("file", "records", "bytes", "compression", "problem"),
        [
            (
                str(shard.path),
                f"{shard.records:,}",
                size(shard.size_bytes),
                shard.compression,
                shard.problem or "",
            )
            for shard in summary.shards
        ],
    )
    most = max(summary.labels.values(), default=1)
    bars = "".join(
        f"<tr><td>{label}</td><td>{_escaped(summary.label_names.get(label, ''))}</td>"
        f'<td><meter max="{most}" value="{count}"></meter> {count:,}</td></tr>'
        for label, count in sorted(summary.labels.items())
    )
    figures = "".join(
        f'<figure><img alt="" src="data:image/png;base64,{_png(sample)}">'
        f"<figcaption>{_escaped(sample.caption)}</figcaption></figure>"
        for sample in samples
    )
    features = _table(FEATURE_TITLES, feature_rows(summary))
    sections = [
        f"<h1>{plural(summary.records, 'record')}</h1>",
        f"<section class='pictures'>{figures}</section>" if figures else "",
        f"<h2>Files</h2>{shards}",
        f"<h2>Features</h2>{features}" if summary.features else "",
        f"<h2>Labels</h2><table>{bars}</table>" if bars else "",
        f"<h2>To parse with TensorFlow</h2><pre>{_escaped(spec)}</pre>" if spec else "",
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>tfrec inspect</title><style>{_STYLE}</style>{''.join(sections)}</html>\n"
    )


def _thumbnail(sample: Sample) -> Image.Image:
    from PIL import Image

    picture = Image.fromarray(sample.pixels)
    picture.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
    return picture


def _png(sample: Sample) -> str:
    out = io.BytesIO()
    _thumbnail(sample).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{_escaped(title)}</th>" for title in titles)
    body = "".join(
        "<tr>" + "".join(f"<td>{_escaped(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _escaped(value: str) -> str:
    return html.escape(safe(value, newlines=True))
