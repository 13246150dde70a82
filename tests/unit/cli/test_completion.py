"""completion: what each shell completes after TAB, on a real terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Command, Option
from click.shell_completion import CompletionItem, get_completion_class
from conftest import fill

from tfrec_cli.cli import main as cli
from tfrec_cli.cli import shells

START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
SETUP = {
    # ^O prints the line that is being typed, ^X^A puts every possible completion into it
    "bash": r"""
PS1=
bind 'set bell-style none'
bind '"\C-x\C-a": insert-completions'
bind -x '"\C-o": printf "<<%s>>" "$READLINE_LINE"'
eval "$(_TFREC_COMPLETE=bash_source tfrec)"
""",
    "zsh": r"""
PS1=
autoload -U compinit && compinit -D -u
show() { print -rn -- "<<$BUFFER>>" }
zle -N show && bindkey '^O' show
zle -C all complete-word _generic && bindkey '^X^X' all && bindkey -s '^X^A' '\t^X^X'
zstyle ':completion:all::::' completer _all_matches
zstyle ':completion:all:*' old-matches true
zstyle ':completion:all:*' insert true
eval "$(_TFREC_COMPLETE=zsh_source tfrec)"
""",
    "fish": r"""
function fish_prompt; end
function every
    set -l line (commandline)
    set -l found (complete -C $line | string replace -r '\t.*' '')
    commandline -r -- (string replace -r '\S*$' '' -- $line)(string join ' ' -- $found)
end
bind \co 'printf "<<%s>>" (commandline)'
bind \cx\ca every
_TFREC_COMPLETE=fish_source tfrec | source
""",
}


class Shell:
    """A shell on its own terminal, in a folder that is also its home."""

    def __init__(self, name: str, folder: Path) -> None:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        kept = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder.parent / "config")}
        words = {"PATH": path, "TERM": "xterm", "LC_ALL": "C.UTF-8", "HISTFILE": "", **home, **kept}
        script = folder.parent / "setup"
        script.write_text(SETUP[name])
        self.folder = folder
        self.name = name
        self._seen = b""
        pid, self._terminal = pty.fork()
        if pid == 0:
            os.chdir(folder)
            os.execvpe(START[name][0], START[name], words)
        self._pid = pid
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 250, 0, 0))
        os.write(self._terminal, f" . '{script}'; echo rea''dy\n".encode())
        self._until(rb"ready\r?\n()")

    def typed(self, line: str, key: bytes = b"\t") -> str:
        """Type a line and a key; return the line as it is then."""
        os.write(self._terminal, line.encode() + key + b"\x0f")
        shown = self._until(rb"<<(.*?)>>").decode()
        os.write(self._terminal, b"\x15")
        return shown

    def every(self, line: str) -> list[str]:
        """Return every completion of a line."""
        start = line.rpartition(" ")[0]
        return self.typed(line, b"\x18\x01").removeprefix(start).split()

    def close(self) -> None:
        os.close(self._terminal)
        os.waitpid(self._pid, 0)

    def _until(self, pattern: bytes) -> bytes:
        while not (match := re.search(pattern, self._seen)):
            assert select.select([self._terminal], [], [], 60)[0], self._seen
            self._seen += os.read(self._terminal, 1 << 16)
        self._seen = self._seen[match.end() :]
        return match[1]


@pytest.fixture(scope="module", params=START)
def shell(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shell]:
    """Start each shell once, in a folder of files to complete."""
    if not shutil.which(request.param) and "ALL_TESTS" not in os.environ:
        pytest.skip(f"found no {request.param}")
    folder = fill(
        tmp_path_factory.mktemp("shell") / "home",
        {
            "images/cats/1.png": b"",
            "holiday photos/1.png": b"",
            "out/val.manifest.json": b"",
            "out/extra.manifest.json": b"",
            "images/cats/good-1.manifest.json": b"",
            "images/cats/$(touch PWNED).manifest.json": b"",
            "images/cats/a\nplain,forged.manifest.json": b"",
            "images/cats/a b.manifest.json": b"",
            "images/tfrec": b"#!/bin/sh\n",
            "my.toml": b"",
            "names.txt": b"",
            "list.csv": b"",
            "page.html": b"",
            "picture.png": b"",
        },
    )
    started = Shell(request.param, folder)
    yield started
    started.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "completed"),
    [
        # commands, options, choices
        ("tfrec wr", "tfrec write "),
        ("tfrec --conf", "tfrec --config "),
        ("tfrec write --cr", "tfrec write --crop "),
        ("tfrec write images out --no-s", "tfrec write images out --no-shuffle "),
        ("tfrec write --keys t", "tfrec write --keys tf-models "),
        ("tfrec write --keys=t", "tfrec write --keys=tf-models "),
        ("tfrec write --keys=plain --exif=i", "tfrec write --keys=plain --exif=ignore "),
        # folders only
        ("tfrec write images o", "tfrec write images out/"),
        ("tfrec write images na", "tfrec write images na"),
        ("tfrec write ~/im", "tfrec write ~/images/"),
        ("tfrec write images/c", "tfrec write images/cats/"),
        (r"tfrec write holiday\ ph", r"tfrec write holiday\ photos/"),
        ("tfrec write --keys=plain im", "tfrec write --keys=plain images/"),
        # folders, or files with an ending
        ("tfrec write l", "tfrec write list.csv "),
        ("tfrec write na", "tfrec write na"),
        ("tfrec --config m", "tfrec --config my.toml "),
        ("tfrec --config=m", "tfrec --config=my.toml "),
        ("tfrec --config im", "tfrec --config images/"),
        ("tfrec --config na", "tfrec --config na"),
        ("tfrec inspect out --html pa", "tfrec inspect out --html page.html "),
        ("tfrec inspect out --contact-sheet pi", "tfrec inspect out --contact-sheet picture.png "),
        # words, folders or files
        ("tfrec write images out --labels na", "tfrec write images out --labels names.txt "),
        ("tfrec write images out --labels=na", "tfrec write images out --labels=names.txt "),
        ("tfrec write images out --labels au", "tfrec write images out --labels auto "),
        ("tfrec inspect na", "tfrec inspect names.txt "),
        # a path in the middle of a word
        ("tfrec verify --source im", "tfrec verify --source images/"),
        ("tfrec verify --source train=im", "tfrec verify --source train=images/"),
        ("tfrec verify --source=train=im", "tfrec verify --source=train=images/"),
        # splits of the folder, and common names
        ("tfrec write images out --split e", "tfrec write images out --split extra "),
        ("tfrec write images new --split e", "tfrec write images new --split e"),
        ("tfrec write images new --split tr", "tfrec write images new --split train "),
        # files whose names are no names of splits
        ("tfrec extract images/cats x --split ", "tfrec extract images/cats x --split good-1 "),
        # nothing to offer
        ("tfrec write images out --shards 1", "tfrec write images out --shards 1"),
        ("tfrec nonsense --cr", "tfrec nonsense --cr"),
        ("tfrec write --nonsense x", "tfrec write --nonsense x"),
    ],
)  # fmt: skip
def test_tab_completes_the_line(shell: Shell, line: str, completed: str) -> None:
    assert shell.typed(line) == completed


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tfrec ", list(cli.main.list_commands(None))),  # type: ignore[arg-type]  # unused there
        ("tfrec write --keys ", ["plain", "tf-models"]),
        ("tfrec write --sh", ["--shards", "--shard-size", "--shuffle-seed"]),
        ("tfrec write images out --split ", ["extra", "folders", "test", "train", "val"]),
    ],
)
def test_every_possible_word_is_offered(shell: Shell, line: str, words: list[str]) -> None:
    assert sorted(shell.every(line)) == sorted(words)


def test_every_path_of_the_right_kind_is_offered(shell: Shell) -> None:
    found = {word.rstrip("/") for word in shell.every("tfrec --config ")}
    assert {one for one in found if "holiday" not in one} - {"photos"} == {
        "images",
        "out",
        "my.toml",
    }


def test_an_answer_is_never_run_as_a_program(shell: Shell) -> None:
    """Even one that we would never give; a shell might evaluate it."""
    program = shell.folder / "images" / "tfrec"
    answers = {"bash": "plain,{}", "zsh": "plain\n{}\n_", "fish": "plain,{}"}
    answer = answers[shell.name].format("$(touch PWNED)")
    program.write_text(f"#!/bin/sh\ncat << 'END'\n{answer}\nEND\n")
    program.chmod(0o755)
    typed = shell.typed("images/tfrec ").rstrip()
    assert typed in (r"images/tfrec \$\(touch\ PWNED\)", "images/tfrec '$(touch PWNED)'")


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_an_answer_of_several_lines_is_left_out(name: str) -> None:
    shells.register()
    kind = get_completion_class(name)
    assert kind
    words = ["plain", "one\nplain,forged", "one\nplain\nforged\n_"]
    offered = Option(["--x"], shell_complete=lambda *_: [CompletionItem(word) for word in words])
    asked = kind(Command("tfrec", params=[offered]), {}, "tfrec", "_TFREC_COMPLETE")
    assert [one.value for one in asked.get_completions(["--x"], "")] == ["plain"]


def test_a_program_called_by_its_path_is_completed_too(shell: Shell) -> None:
    program = shell.folder / "tfrec"
    if not program.exists():
        program.symlink_to(Path(sys.executable).parent / "tfrec")
    assert shell.typed("~/tfrec wr") == "~/tfrec write "


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    "words",
    ["tfrec ", "tfrec write --keys ", "tfrec none --x", "tfrec write --crop x --j", "tfrec 'wri"],
)
def test_answers_are_silent_and_load_nothing_heavy(name: str, words: str) -> None:
    """Even with wrong variables: a message would appear in the line that is being typed."""
    program = (
        "import sys; from tfrec_cli.__main__ import main\n"
        "try: main()\n"
        "finally: assert not {'numpy', 'PIL', 'tensorflow', 'torch', 'tqdm'} & {*sys.modules}"
    )
    last = words.rpartition(" ")[2]
    asked = {
        "_TFREC_COMPLETE": f"{name}_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": last if name == "fish" else str(words.count(" ")),
        "TFREC_CONFIG": "none.toml",
        "TFREC_WRITE_CROP": "nonsense",
    }
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **asked}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
