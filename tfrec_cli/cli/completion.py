"""Completion of paths and of names of splits.

Knows: types of answers, see `shells`. Must not know: what options do. Imports are inside functions:
most calls of the program complete nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from click import Argument, Context, Parameter

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    Item = CompletionItem[str]  # generic only since click 8.4


def paths(
    *endings: str, words: tuple[str, ...] = (), after: str = ""
) -> Callable[[Context, Parameter, str], list[Item]]:
    """Make the ``shell_complete`` of a parameter that takes a folder.

    Args:
        endings: endings of files that are offered too, such as ``csv``; ``*`` offers every file.
        words: words that are offered too.
        after: the path begins after the last of these characters, such as ``=``.
    """
    kind = "dir" if not endings else "file" if endings == ("*",) else "file:" + "|".join(endings)

    def complete(_context: Context, _parameter: Parameter, incomplete: str) -> list[Item]:
        from click.shell_completion import CompletionItem

        path = incomplete.rpartition(after)[2] if after else incomplete
        plain = [CompletionItem(word) for word in words if word.startswith(incomplete)]
        return [*plain, CompletionItem(path, type=kind)]

    return complete


def splits(folder: str, *names: str) -> Callable[[Context, Parameter, str], list[Item]]:
    """Make the ``shell_complete`` of a parameter that takes the name of a split.

    Only names that ``--split`` accepts are offered.

    Args:
        folder: name of the parameter whose value is the dataset.
        names: further names to offer.
    """

    def complete(context: Context, _parameter: Parameter, incomplete: str) -> list[Item]:
        from pathlib import Path

        from click.shell_completion import CompletionItem

        from tfrec_cli.dataset.names import MANIFEST_SUFFIX, SPLIT_NAME

        arguments = [param.name for param in context.command.params if isinstance(param, Argument)]
        # arguments are not parsed while --split lacks its NAME
        unparsed = dict(zip(arguments, context.args, strict=False))
        given = context.params.get(folder) or unparsed.get(folder) or "."
        where = Path(given[0] if isinstance(given, tuple) else given)
        stems = [
            path.name.removesuffix(MANIFEST_SUFFIX) for path in where.glob("*" + MANIFEST_SUFFIX)
        ]
        offered = sorted({*names, *filter(SPLIT_NAME.fullmatch, stems)})
        return [CompletionItem(name) for name in offered if name.startswith(incomplete)]

    return complete
