"""Hooks of mkdocs: the README is the first page, and files that pages link to come along.

Knows: links in Markdown. Must not know: any page by name but the README.

On GitHub, links lead from page to file in the repository; on the site, to a copy below
``repository/``. Links to folders become plain text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
OUTSIDE = "repository"
_LINK = re.compile(
    r'(?P<text>!?\[[^][]*\])\((?P<link>[^)\s#]+)(?P<rest>[^)]*)\)|src="(?P<image>[^"]+)"'
)


def on_files(files: Any, *, config: Any) -> Any:
    """Add the README, and what pages link to outside docs/."""
    files.append(_file(config, "index.md", ROOT / "README.md"))
    waiting = list(files.documentation_pages())
    while waiting:
        page = waiting.pop()
        for match in _LINK.finditer(page.content_string):
            path = _target(page.src_uri, match["link"] or match["image"])
            if path is None or path.is_dir() or path.is_relative_to(config.docs_dir):
                continue
            name = f"{OUTSIDE}/{path.relative_to(ROOT)}"
            if path != ROOT / "README.md" and not files.get_file_from_path(name):
                added = _file(config, name, path)
                files.append(added)
                waiting += [added] if added.is_documentation_page() else []
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Point links of the repository to the files of the site."""

    def replaced(match: re.Match[str]) -> str:
        path = _target(page.file.src_uri, match["link"] or match["image"])
        if path is None:
            return match[0]
        if path.is_dir():
            return match["text"].strip("[]")
        if path == ROOT / "README.md":
            name = "index.md"
        elif path.is_relative_to(config.docs_dir):
            name = str(path.relative_to(config.docs_dir))
        else:
            name = f"{OUTSIDE}/{path.relative_to(ROOT)}"
        link = posixpath.relpath(name, posixpath.dirname(page.file.src_uri) or ".")
        return f'src="{link}"' if match["image"] else f"{match['text']}({link}{match['rest']})"

    return _LINK.sub(replaced, markdown)


def _file(config: Any, name: str, path: Path) -> Any:
    return File.generated(config, name, abs_src_path=str(path))


def _target(page: str, link: str) -> Path | None:
    """Return the file or folder of the repository that a page's link means; None for others."""
    if re.match(r"[a-z]+:|/|#", link):
        return None
    own = "README.md" if page == "index.md" else page.removeprefix(f"{OUTSIDE}/")
    if own == page:
        own = f"docs/{page}"
    path = ROOT / posixpath.normpath(posixpath.join(posixpath.dirname(own), link))
    if not path.exists():
        raise PluginError(f"{own}: found no {link}, to which it links")
    return path
