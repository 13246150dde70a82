"""A click command that knows where each value came from, and refuses options without effect.

Knows: command lines, variables ``TFREC_…`` and configuration files as sources of values. Must not
know: what options do.
"""

from __future__ import annotations

import os
import re
import shlex
from collections import UserDict
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from itertools import takewhile
from typing import Any

import click
from click.core import ParameterSource

from tfrec_cli.errors import MeantSourceError, TfrecError, UsageError


def usual_color() -> bool | None:
    """Tell whether output has colours if no option says it; None leaves it to the terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def _set_color(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value:  # otherwise as `Group` or the option before the command has set it
        ctx.color = {"always": True, "never": False}.get(value, usual_color())


def _color_option(help: str) -> click.Option:  # noqa: A002  # as click names it
    return click.Option(
        ["--color"],
        type=Word(("auto", "always", "never")),
        expose_value=False,
        callback=_set_color,
        is_eager=True,
        help=help,
    )


class Command(click.Command):
    """A command that appends its context to ``obj``, a list, so that its errors can be explained.

    An option without effect is refused only if it is typed: configuration files and variables serve
    many calls.

    Args:
        needs: for options that have no effect alone, the options of which one is enough.
        excludes: for options that have no effect together with others, those others.
        groups: headings of the help, and the options under each; others are under the last.
        examples: command lines that the help shows, without the name of the command.
        surplus: makes the message about more arguments than the command has; it gets all of them.
        elsewhere: options of other commands, each with what does that here.
    """

    def __init__(
        self,
        *args: Any,
        needs: Mapping[str, Sequence[str]] | None = None,
        excludes: Mapping[str, Sequence[str]] | None = None,
        groups: Mapping[str, Sequence[str]] | None = None,
        examples: Sequence[str] = (),
        surplus: Callable[[Sequence[str]], str] | None = None,
        elsewhere: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._surplus = surplus
        self._elsewhere = elsewhere or {}
        self.allow_extra_args = surplus is not None  # then they are refused here
        self._needs = needs or {}
        self._excludes = excludes or {}
        self.groups = groups or {}
        self.examples = examples
        self.params.append(
            _color_option(
                "Whether output has colours. [default: auto, which is on a terminal, unless "
                "NO_COLOR is set]"
            )
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in groups."""
        groups = self.groups or {"Options": []}
        known = {name for names in groups.values() for name in names}
        options = [one for one in self.get_params(ctx) if isinstance(one, click.Option)]
        for heading, names in groups.items():
            shown = [one for name in names for one in options if one.name == name]
            if heading == [*groups][-1]:
                shown += [one for one in options if one.name not in known]
            with formatter.section(heading):
                formatter.write_dl([row for one in shown if (row := one.get_help_record(ctx))])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        with formatter.section("Examples"):
            for line in self.examples:
                formatter.write(f"  {ctx.command_path} {line}\n")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; refuse options without effect, and variables of unknown options."""
        ctx.ensure_object(list).append(ctx)
        argv = args.copy()
        try:
            rest = super().parse_args(ctx, args)
        except click.UsageError as error:
            self._refuse_single_dash(argv)
            if isinstance(error, click.NoSuchOption):
                _refuse_misplaced(ctx, error.option_name, argv)
                if todo := self._elsewhere.get(error.option_name):
                    raise UsageError(f"No such option {error.option_name!r}: {todo}") from error
            raise
        if not ctx.resilient_parsing:
            if self._surplus and ctx.args:
                named = [one.name for one in self.params if isinstance(one, click.Argument)]
                words = [str(ctx.params[name]) for name in named if name]
                raise UsageError(self._surplus([*words, *ctx.args]))
            _refuse_unknown_variables(ctx)
            self._refuse_idle(ctx)
        return rest

    def _refuse_single_dash(self, argv: Sequence[str]) -> None:
        """Refuse ``-crop``, which click takes for ``-c -r -o -p``."""
        known = {one for param in self.params for one in param.opts}
        for word in takewhile(lambda word: word != "--", argv):
            name, _, _ = word.partition("=")
            if re.fullmatch("-[a-z][a-z-]+", name) and f"-{name}" in known:
                raise UsageError(f"No such option {name!r}. Did you mean {'-' + name!r}?")

    def _refuse_idle(self, ctx: click.Context) -> None:
        words = typed(ctx)
        for name in sorted(words & self._needs.keys()):
            wanted = self._needs[name]
            if not any(_is_given(ctx, other) for other in wanted):
                others = " or ".join(_option(ctx, other) for other in wanted)
                raise UsageError(f"{_option(ctx, name)}: needs {others}")
        for name in sorted(words & self._excludes.keys()):
            for other in self._excludes[name]:
                if _is_given(ctx, other):
                    raise UsageError(
                        f"{_option(ctx, name)}: cannot be used with {where(ctx, other)}"
                    )


class Word(click.Choice[str]):
    """One of a few words, in capitals or not; ``jpg`` is ``jpeg``."""

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Accept JPEG, jpg."""
        word = str(value).lower()
        return super().convert("jpeg" if word == "jpg" else word, param, ctx)


class Listed(click.Command):
    """The entry of a command in lists: its name and help, without its options.

    Args:
        module: the module of the command in `tfrec_cli.cli`, if it has another name.
        help: the first sentence of the command's help; or ``short_help``, a shorter text.
    """

    def __init__(self, name: str, module: str | None = None, **help: str) -> None:  # noqa: A002
        super().__init__(name, **help)  # type: ignore[arg-type]  # only these two are given
        self.module = module or name


class _Loaded(UserDict[str, click.Command]):
    """Commands by name; a command is imported when it is first looked up."""

    def __getitem__(self, name: str) -> click.Command:
        command = super().__getitem__(name)
        if isinstance(command, Listed):
            module = import_module(f"tfrec_cli.cli.{command.module}")
            command = self.data[name] = getattr(module, name)
        return command


class Group(click.Group):
    """A group that appends its context too, and loads a command when it is called.

    Args:
        listed: the entries of the commands, in order.
        elsewhere: words that other programs call commands by, each with what does that here.
    """

    def __init__(
        self,
        name: str | None,
        *,
        listed: Sequence[Listed],
        elsewhere: Mapping[str, str],
        **kwargs: Any,
    ) -> None:
        self._elsewhere = elsewhere
        self._listed = {entry.name or "": entry for entry in listed}
        super().__init__(name, _Loaded(self._listed), **kwargs)
        self.params.append(_color_option("The same as --color of each command."))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does."""
        ctx.ensure_object(list).append(ctx)
        ctx.color = usual_color()
        return super().parse_args(ctx, args)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names of the commands in their order."""
        return list(self._listed)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the entry of a command; `commands` has the command itself."""
        return self._listed.get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find and load the command that is called; ``help`` and ``version`` are options too."""
        match args:
            case ["help", word, *_] if not word.startswith("-"):
                args = [word, "--help"]
            case ["help", *_] | ["version", "-h" | "--help"]:
                super().parse_args(ctx, ["--help"])  # it prints and exits
            case ["version"]:
                super().parse_args(ctx, ["--version"])
            case ["version", other, *_] if not ctx.resilient_parsing:
                raise UsageError(f"version: found {other!r}, expected no option and no argument")
        if args[0] in self._elsewhere and not ctx.resilient_parsing:
            raise click.UsageError(f"No such command {args[0]!r}: {self._elsewhere[args[0]]}", ctx)
        name, found, rest = super().resolve_command(ctx, args)
        return name, self.commands[name] if name and found else None, rest


def typed(ctx: click.Context) -> set[str]:
    """Return the names of the options that were typed on the command line."""
    source = ParameterSource.COMMANDLINE
    return {name for name in ctx.params if ctx.get_parameter_source(name) is source}


def where(ctx: click.Context, name: str) -> str:
    """Say where the value of an option came from.

    Returns:
        ``--crop``, ``TFREC_WRITE_CROP`` or ``--config my.toml: [write] crop``.
    """
    source = ctx.get_parameter_source(name)
    if source is ParameterSource.ENVIRONMENT:
        return variable(ctx, name)
    if source is ParameterSource.DEFAULT_MAP:
        root = ctx.find_root()
        key = _option(ctx, name).removeprefix("--")
        return f"{where(root, 'config')} {root.params['config']}: [{ctx.info_name}] {key}"
    return _option(ctx, name)


def variable(ctx: click.Context, name: str) -> str:
    """Return the variable of an option: ``TFREC_WRITE_CROP``."""
    return f"{ctx.auto_envvar_prefix}_{name}".upper()


def explained(error: Exception, ctx: click.Context | None) -> str:
    """Return an error's message; a wrong value is named by where it came from, see `where`.

    Args:
        error: an error of click, or ours, whose message may name options.
        ctx: context of the command that was called.
    """
    if isinstance(error, click.BadParameter) and error.param and error.ctx:
        source = error.ctx.get_parameter_source(error.param.name or "")
        if source in (ParameterSource.ENVIRONMENT, ParameterSource.DEFAULT_MAP):
            return f"{where(error.ctx, error.param.name or '')}: {error.message}"
    if isinstance(error, click.ClickException):
        return error.format_message()
    if not isinstance(error, TfrecError):
        return str(error)
    meant = _call_with(ctx, error) if ctx and isinstance(error, MeantSourceError) else {}
    message = error.spelled(lambda name: meant.get(name) or spelled(ctx, name))
    owner = error.option and _owner(ctx, error.option)
    if error.option and owner:
        return where(owner, error.option) + message.removeprefix(spelled(ctx, error.option))
    return message


def _call_with(ctx: click.Context, error: MeantSourceError) -> dict[str, str]:
    """Return, for the name of the argument, the same command with the source that is meant."""
    words = [*ctx.command_path.split(), error.source]
    others = [one.name for one in ctx.command.params if isinstance(one, click.Argument)]
    words += [_option(ctx, name) for name in others if name and name != "source"]
    for name, value in error.options.items():
        words += [_option(ctx, name), value]
    return {"source": f"`{shlex.join(words)}`"}


def spelled(ctx: click.Context | None, name: str) -> str:
    """Return how an option is typed: ``--max-errors`` for ``max_errors``.

    If the command has no such option, the name is returned in backquotes, as it was.
    """
    owner = _owner(ctx, name)
    return _option(owner, name) if owner else f"`{name}`"


def _owner(ctx: click.Context | None, name: str) -> click.Context | None:
    """Return the context, of a command or of the program, in which there is an option."""
    while ctx:
        if any(param.name == name for param in ctx.command.params):
            return ctx
        ctx = ctx.parent
    return None


def _option(ctx: click.Context, name: str) -> str:
    """Return ``--crop`` for ``crop``; for an argument its word in the help, such as ``SRC``."""
    param = next(param for param in ctx.command.params if param.name == name)
    if isinstance(param, click.Argument) and param.metavar:
        return param.metavar.strip("[].")
    return max(param.opts, key=len)


def _is_given(ctx: click.Context, name: str) -> bool:
    given = ctx.params[name]
    return given is not None and given is not False and given != ()  # 0 is given


def _refuse_misplaced(ctx: click.Context, option: str, typed: Sequence[str]) -> None:
    """Refuse an option of the program that was typed after the command; a letter is left alone.

    Args:
        typed: what was typed after the command.
    """
    program = ctx.find_root()
    param = next((one for one in program.command.params if option in one.opts), None)
    if not isinstance(param, click.Option) or not option.startswith("--"):
        return
    at = next(k for k, word in enumerate(typed) if word.partition("=")[0] == option)
    end = at + 1 if param.is_flag or "=" in typed[at] else at + 2
    moved = list(typed[at:end])
    if len(moved) < end - at:
        moved.append(param.make_metavar(ctx))
    words = [program.info_name or "", *moved, ctx.info_name or "", *typed[:at], *typed[end:]]
    raise UsageError(f"{option}: goes before the command: `{shlex.join(words)}`")


def _refuse_unknown_variables(ctx: click.Context) -> None:
    start = variable(ctx, "")
    known = [(param.name or "").upper() for param in ctx.command.params]
    for name in sorted(os.environ):
        word = name.removeprefix(start)
        if name.startswith(start) and os.environ[name] and word not in known:
            import difflib

            close = difflib.get_close_matches(word, known, n=1)
            hint = f" (did you mean {start}{close[0]}?)" if close else ""
            raise UsageError(f"{name}: {ctx.info_name} has no such option{hint}")
