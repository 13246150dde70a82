"""What completion offers where a path or the name of a split is typed.

Knows: types of answers, as `shells` describes them. Must not know: what options do. Imports what it
needs only when it is asked.
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
        endings: of files that may be meant too, such as ``csv``; ``*`` for any file.
        words: that may stand there instead.
        after: a sign before the path, with something else before it.
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

    Names of files that ``--split`` would not take are not offered.

    Args:
        folder: the parameter that holds the dataset, whose splits are offered.
        names: further ones.
    """

    def complete(context: Context, _parameter: Parameter, incomplete: str) -> list[Item]:
        from pathlib import Path

        from click.shell_completion import CompletionItem

        from tfrec_cli.dataset.names import MANIFEST_SUFFIX, SPLIT_NAME

        arguments = [param.name for param in context.command.params if isinstance(param, Argument)]
        left = dict(
            zip(arguments, context.args, strict=False)
        )  # where --split still lacks its NAME
        where = Path(context.params.get(folder) or left.get(folder) or ".")
        stems = [
            path.name.removesuffix(MANIFEST_SUFFIX) for path in where.glob("*" + MANIFEST_SUFFIX)
        ]
        offered = sorted({*names, *filter(SPLIT_NAME.fullmatch, stems)})
        return [CompletionItem(name) for name in offered if name.startswith(incomplete)]

    return complete
