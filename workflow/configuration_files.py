"""Configuration files read by ourselves in Snakemake's place: as data, within limits, refused with a sentence.

Snakemake reads what `--configfile` names before the first line of a Snakefile, and lets its template engine, YTE, run
the Python in it, on a dry run too. What it reads earlier still is the workflow's profile (`profiles/default`), which
calls `take_over`. Without that profile (`--workflow-profile`) Snakemake's own reader is at work, and `check_files` can
only refuse afterwards.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.documents import read_document
from core.errors import InputError

ONCE = ("--configfile", "--configfiles", "--config")
"""Options that take several values, and of which Snakemake drops all but the last if they are given again."""


def take_over() -> None:
    """Have this process of Snakemake read configuration files with `read_document`; refuse what it would drop."""
    # not at the top: the module is imported where Snakemake isn't at work, too
    from snakemake.common import configfile

    theirs = configfile._load_configfile

    def read(source: Any, filetype: str = "Config") -> Any:
        if not isinstance(source, str | Path):
            return theirs(source, filetype)
        try:
            return read_configuration(source)
        except InputError as error:
            sys.exit(f"error: {error}")

    try:
        check_words(sys.argv[1:])
    except InputError as error:
        sys.exit(f"error: {error}")
    configfile._load_configfile = read


def read_configuration(path: Path | str) -> dict[str, Any]:
    """What a configuration file says. Raises `InputError`, see `core.documents.read_document`."""
    if not Path(path).exists():
        raise InputError(
            f"{path}: no such configuration file; everything after --configfile is taken for one, so put targets, "
            "such as `figures`, before it"
        )
    return read_document(path)


def check_files(paths: Iterable[Path | str]) -> None:
    """Refuse the first configuration file that can't be used, see `read_configuration`."""
    for path in paths:
        read_configuration(path)


def check_words(words: Iterable[str]) -> None:
    """Refuse a command line that gives one of `ONCE` twice; raises `InputError` saying how to write it."""
    given = [word.partition("=")[0] for word in words]
    given = given[: given.index("--")] if "--" in given else given
    for name, others in (("--configfile", ONCE[:2]), ("--config", ONCE[2:])):
        if sum(word in others for word in given) > 1:
            example = "A.yaml B.yaml" if name == "--configfile" else "seed=1 run=mine"
            raise InputError(f"{name} is given twice, and Snakemake drops the first; write `{name} {example}`")
