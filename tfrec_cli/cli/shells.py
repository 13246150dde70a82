"""Completion of the command line in bash, zsh and fish.

Knows: what these shells ask and how they take answers. Must not know: what options do.

Click's own scripts are not enough: with click 8.5, ``--option=value`` completes in none of these
shells. The scripts also do not complete files by their endings or paths after ``SPLIT=``, and they
print errors if the program cannot be started. The shell itself lists paths.

An answer has a type: ``plain`` is a word, ``dir`` folders, ``file`` files and folders, and
``file:csv|tsv`` folders and files with these endings. The value of a path is the part typed so far.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ZshComplete,
    add_completion_class,
)

if TYPE_CHECKING:
    Item = CompletionItem[str]  # generic only since click 8.4

_BASH = """\
%(complete_func)s() {
    local kind value ending
    while IFS=, read -r kind value; do
        case $kind in
        plain) COMPREPLY+=("$(printf %%q "$value")") ;;
        *) compopt -o filenames ;;&
        dir | file:*)
            mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "$value") ;;&
        file)
            mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$value") ;;
        file:*)
            local IFS='|'
            for ending in ${kind#file:}; do
                mapfile -t -O ${#COMPREPLY[@]} COMPREPLY \\
                    < <(compgen -f -X "!*.$ending" -- "$value")
            done ;;
        esac
    done < <(
        IFS=$'\\n'
        env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
            %(complete_var)s=bash_complete "${1/#\\~/$HOME}" 2> /dev/null
    )
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""

_ZSH = """\
#compdef %(prog_name)s

%(complete_func)s() {
    local -a answers plain described
    local kind value help
    answers=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) \\
        %(complete_var)s=zsh_complete "${words[1]/#\\~/$HOME}" 2> /dev/null)}")

    for kind value help in "${answers[@]}"; do
        case $kind in
        plain)
            if [[ $help == _ ]]; then
                plain+=("$value")
            else
                described+=("$value:$help")
            fi
            ;;
        dir) compset -p $value && _path_files -/ ;;
        file) compset -p $value && _path_files ;;
        file:*) compset -p $value && _path_files -/ -g "(*.(${kind#file:}))" ;;
        esac
    done

    if (( $#described )); then
        _describe -V unsorted described -U
    fi
    if (( $#plain )); then
        compadd -U -V unsorted -a plain
    fi
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

_FISH = """\
function %(complete_func)s
    set -l token (commandline -ct)
    set -l program (string replace -r '^~' $HOME -- (commandline -po)[1])
    for answer in (env COMP_WORDS=(commandline -cp) COMP_CWORD="$token" \\
            %(complete_var)s=fish_complete $program 2>/dev/null)
        set -l parts (string split --max 1 , -- $answer)
        set -l endings /
        switch $parts[1]
            case ''
                continue
            case plain
                echo $parts[2]
                continue
            case file
                set endings ''
            case 'file:*'
                set endings '/|\\.(?:'(string sub --start 6 -- $parts[1])')'
        end
        set -l before (string sub --length $parts[2] -- "$token")
        set -l path (string sub --start (math $parts[2] + 1) -- "$token")
        complete -C"'' $path" | string match -r "^[^\\t]*(?:$endings)(?:\\t.*)?\\$" \\
            | string replace -r '^' -- "$before"
    end
end

complete --no-files --command %(prog_name)s --arguments '(%(complete_func)s)'
"""


def _joined(words: list[str]) -> list[str]:
    """Join words that bash split at ``=``, such as ``--keys=plain``."""
    joined: list[str] = []
    for word in words:
        if joined and (word == "=" or joined[-1].endswith("=")):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _lines(items: list[Item]) -> list[Item]:
    """Leave out answers of several lines: a shell would take each line for an answer."""
    return [item for item in items if "\n" not in item.value]


def _placed(items: list[Item], word: str) -> list[Item]:
    """Return answers for the entire word: ``--keys=plain``; for a path, where it begins in it.

    Args:
        items: answers for the part of ``word`` after ``--option=``.
    """
    option = word[: word.find("=") + 1] if word.startswith("-") else ""
    return [
        CompletionItem(option + item.value, help=item.help)
        if item.type == "plain"
        else CompletionItem(str(len(word) - len(item.value)), type=item.type)
        for item in items
    ]


class _Bash(BashComplete):
    source_template = _BASH

    def get_completions(self, args: list[str], incomplete: str) -> list[Item]:
        return _lines(super().get_completions(args, incomplete))

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        *args, incomplete = _joined([*args, incomplete])
        return args, incomplete


class _Zsh(ZshComplete):
    source_template = _ZSH

    def get_completions(self, args: list[str], incomplete: str) -> list[Item]:
        return _placed(_lines(super().get_completions(args, incomplete)), incomplete)


class _Fish(FishComplete):
    source_template = _FISH

    def get_completions(self, args: list[str], incomplete: str) -> list[Item]:
        return _placed(_lines(super().get_completions(args, incomplete)), incomplete)


def register() -> None:
    """Register the classes above with click."""
    for shell in (_Bash, _Zsh, _Fish):
        add_completion_class(shell)
