"""What every command shares: its verbs, how it fails, and how it shows that it is getting on."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from core.errors import InputError, NotApplicable, Remark, is_place_trouble, nearest
from core.jobs.child import Ended, in_child
from core.jobs.cost import say_cost
from core.jobs.made import recorded, taken_out
from core.jobs.run_lock import join
from core.jobs.run_process import run_folder
from core.jobs.scratch import scratch_folder

if TYPE_CHECKING:
    from tqdm import tqdm

INTERRUPTED = "interrupted; start it again to go on"

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
        return recorded(job, lambda: _done(verb, given))
    if words and not words[0].startswith("-"):
        raise InputError(f"python -m {package}: there is no verb '{words[0]}'{nearest(words[0], names)}")
    # every job of a run starts with this file, and most need neither this nor `tqdm`
    from importlib.metadata import version

    parser = argparse.ArgumentParser(prog=f"python -m {package}", description=about)
    parser.add_argument("--version", action="version", version=version("mispel-benchmark"))
    listed = parser.add_subparsers(metavar="VERB", required=True)
    for name in names:
        listed.add_parser(name, help=load_verb(package, name).HELP)
    parser.parse_args(words)
    return 0


def _done(verb: Verb, given: argparse.Namespace) -> int:
    """Do a verb's work; the exit status. Somebody's method that leaves Python amid the work hasn't done it."""
    try:
        return verb.main(given) or 0
    except SystemExit as left:
        if isinstance(left.code, str):
            raise
        sys.exit(f"error: something that was called left Python (sys.exit({left.code})) before the work was done")


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
    an interrupt. Temporary files lie in a folder that ends with the command. As a job of a run the work is done in a
    child process (`core.jobs.child`), which ends when the run or this process does, and whose log is kept short.
    """
    warnings.formatwarning = in_words
    folder = run_folder()
    if folder is None:
        with scratch_folder():
            code = _attempt(main)
    else:
        code = _as_job(main, folder)
    say_cost()
    sys.exit(code)


def _as_job(main: Callable[[], int | None], folder: Path) -> int:
    """Do the work as a job of the run in `folder`; the exit status."""
    at_work = join(folder)
    try:
        code: int = in_child(lambda: {"code": _attempt(main)}, as_job=True)["code"]
        return code
    except Ended as ended:
        print(f"error: {ended}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return 130
    finally:
        if at_work is not None:
            os.close(at_work)


def _attempt(main: Callable[[], int | None]) -> int:
    """Do it; the exit status, with what went wrong on standard error."""
    try:
        return main() or 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except NotApplicable as reason:
        print(f"not applicable: {reason}", file=sys.stderr)
        return 3
    except BrokenPipeError:
        # whoever read what is printed has gone, such as `head`; nothing more can be said there
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SystemExit as left:
        if isinstance(left.code, str):
            print(left.code, file=sys.stderr)
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return 130
    except Exception as error:
        if is_place_trouble(error):
            print(f"error: {error}; what is finished is kept: make room, then start again to go on", file=sys.stderr)
        else:
            traceback.print_exc()
        return 1


def in_words(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A remark as its sentence, any other warning with the place in the code that it's about."""
    if issubclass(category, Remark):
        return f"remark: {message}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"


def progress(items: Iterable[Item], *, what: str, total: int | None = None) -> tqdm[Item]:
    """Yield `items` while saying on standard error what is done, how far it is and how long still.

    In a log, where lines can't be rewritten, it speaks at most every ten seconds.
    """
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    return tqdm(
        items,
        desc=what,
        total=total,
        mininterval=0.2 if terminal else 10,
        dynamic_ncols=terminal,
        ncols=80,
    )
