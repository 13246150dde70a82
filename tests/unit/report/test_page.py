"""page: the contact sheet and the HTML page."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import photo
from hostile import HOSTILE, raw_signs, strange_file
from PIL import Image

from tfrec_cli.commands import inspect_
from tfrec_cli.inspecting.samples import Sample, samples
from tfrec_cli.inspecting.spec import parse_spec
from tfrec_cli.inspecting.tally import ShardSummary
from tfrec_cli.report import page


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    return strange_file(tmp_path)


def sample(height: int, width: int, caption: str = "x") -> Sample:
    return Sample(photo(height, width), caption)


@pytest.mark.parametrize(
    ("count", "size"),
    [(1, (140, 154)), (3, (408, 154)), (8, (1078, 154)), (9, (1078, 302)), (40, (1078, 746))],
)
def test_the_sheet_has_rows_of_eight(count: int, size: tuple[int, int]) -> None:
    assert page.contact_sheet([sample(9, 9)] * count).size == size


def test_the_class_of_an_image_is_below_its_name() -> None:
    shown = replace(sample(9, 9), group="cats" * 20)
    sheet = page.contact_sheet([shown, sample(9, 9)])
    assert sheet.size == (274, 168)
    below = np.asarray(sheet)[6 + 128 + 16 :]
    assert below[:, :140].min() < 200 < below[:, 140:].min()


def test_images_on_the_sheet_keep_their_pixels() -> None:
    shown = sample(100, 128)
    sheet = np.asarray(page.contact_sheet([shown]))
    assert sheet[6 + 28 : 6 + 128, 6 : 6 + 128].tolist() == shown.pixels.tolist()


@pytest.mark.parametrize("size", [(1, 4000), (4000, 1), (3000, 2000)])
def test_images_of_any_shape_fit_the_sheet(size: tuple[int, int]) -> None:
    assert page.contact_sheet([sample(*size)]).size == (140, 154)


@pytest.mark.parametrize("caption", ["", HOSTILE, "猫" * 80, "\udcff", "x" * 500, "a\nb" * 9])
def test_captions_of_any_kind_fit_the_sheet(caption: str) -> None:
    assert page.contact_sheet([sample(9, 9, caption)]).size == (140, 154)


class Page(HTMLParser):
    """Collects what a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def html(strange: Path) -> str:
    found = inspect_.summarise([strange])
    found.shards[0] = ShardSummary(
        path=strange, records=1, size_bytes=1, compression="none", problem=HOSTILE
    )
    shown = samples([strange], found, 9, None, None).shown
    return page.html_page(found, parse_spec(found), shown)


def test_names_are_escaped_in_html(html: str) -> None:
    parts = {"h1", "h2", "section", "table", "tr", "th", "td", "meter", "pre"}
    figures = {"figure", "img", "figcaption"}
    assert set(Page(html).tags) == {"html", "meta", "title", "style"} | parts | figures


def test_the_page_has_no_control_characters(html: str) -> None:
    assert raw_signs(html) == []


def test_the_page_needs_no_other_files(html: str) -> None:
    parsed = Page(html)
    outside = re.findall(r"https?:|url\(|@import|//", re.sub(r"base64,[^\"]*", "", html))
    starts = [link.split(",")[0] for link in parsed.links]
    assert (outside, starts) == ([], ["data:image/png;base64"])


def test_the_page_contains_the_images(html: str) -> None:
    (link,) = Page(html).links
    picture = Image.open(io.BytesIO(base64.b64decode(link.split(",")[1])))
    assert np.asarray(picture).tolist() == photo(40, 30).tolist()
