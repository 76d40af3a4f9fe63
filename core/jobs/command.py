"""What every command shares: its verbs, how it fails, and how it shows that it is getting on."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from tqdm import tqdm

from core.errors import InputError, NotApplicable, is_place_trouble, nearest
from core.jobs.cost import say_cost
from core.jobs.made import recorded, taken_out

Item = TypeVar("Item")


class Verb(Protocol):
    """A file of a package's folder `commands`: what `python -m package verb` does."""

    HELP: str
    """In a line."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's arguments."""

    def main(self, arguments: argparse.Namespace) -> int | None:
        """Do it; returns the exit status, None for 0."""


def call_verb(package: str, about: str | None, argv: Sequence[str] | None = None) -> int:
    """Do what a command line asks of `python -m package`; returns the exit status.

    The verbs are the files of the folder `commands` in the package, a hyphen for an underscore; a file that
    begins with an underscore is none. Only the file of the verb asked for is loaded, since each needs other
    libraries; `--help` loads all. What a rule says of its job (`core.jobs.made`) is taken from the command line
    before. Raises `InputError` for a verb that isn't there.
    """
    words, job = taken_out(sys.argv[1:] if argv is None else argv)
    names = verbs_of(package)
    if words and words[0] in names:
        verb = load_verb(package, words[0])
        parser = argparse.ArgumentParser(prog=f"python -m {package} {words[0]}", description=verb.HELP)
        verb.add_options(parser)
        given = parser.parse_args(words[1:])
        return recorded(job, lambda: verb.main(given) or 0)
    if words and not words[0].startswith("-"):
        raise InputError(f"python -m {package}: there is no verb '{words[0]}'{nearest(words[0], names)}")
    parser = argparse.ArgumentParser(prog=f"python -m {package}", description=about)
    listed = parser.add_subparsers(metavar="VERB", required=True)
    for name in names:
        listed.add_parser(name, help=load_verb(package, name).HELP)
    parser.parse_args(words)
    return 0


def verbs_of(package: str) -> list[str]:
    """The verbs of a package, by name."""
    folder = importlib.import_module(f"{package}.commands").__path__
    names = sorted(module.name for module in pkgutil.iter_modules(folder))
    return [name.replace("_", "-") for name in names if not name.startswith("_")]


def load_verb(package: str, name: str) -> Verb:
    """The file of a verb."""
    return importlib.import_module(f"{package}.commands.{name.replace('-', '_')}")


def run(main: Callable[[], int | None]) -> None:
    """Run a command's `main` and exit with 0 or what it returns.

    One sentence and 2 for an `InputError`, 3 for a `NotApplicable`, 1 for a full or read-only disk, 130 for
    an interrupt.
    """
    try:
        code = main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except NotApplicable as reason:
        print(f"not applicable: {reason}", file=sys.stderr)
        code = 3
    except BrokenPipeError:
        # whoever read what is printed has gone, such as `head`; nothing more can be said there
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        if not is_place_trouble(error):
            raise
        print(f"error: {error}; what is finished is kept: make room, then start again to go on", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("interrupted; start it again to go on", file=sys.stderr)
        code = 130
    say_cost()
    sys.exit(code or 0)


def progress(items: Iterable[Item], *, what: str, total: int | None = None) -> tqdm[Item]:
    """Yield `items` while saying on standard error what is done, how far it is and how long still.

    In a log, where lines can't be rewritten, it speaks at most every ten seconds.
    """
    terminal = sys.stderr.isatty()
    return tqdm(
        items,
        desc=what,
        total=total,
        mininterval=0.2 if terminal else 10,
        dynamic_ncols=terminal,
        ncols=80,
    )
