"""`list`: every method that there is."""

from __future__ import annotations

import argparse

from baselines.harness.registry import methods

HELP = "every method, what it needs, its parameters and what it cannot do"


def add_options(parser: argparse.ArgumentParser) -> None:
    """None."""


def main(arguments: argparse.Namespace) -> None:
    """Print every method with its citation, needs, parameters, limits and cost."""
    for name, method in methods().items():
        print(f"{name:<21}{method.label}: {method.citation}")
        needs = ", ".join(sorted(method.needs)) or "nothing special"
        contrasts = " and ".join(method.contrasts)
        print(f"{'':<21}gives {method.gives}; fits on a {method.fits_on}, of {contrasts}; needs {needs}; ", end="")
        print(f"unseen subjects: {'yes' if method.unseen_subjects else 'no'}, ", end="")
        print(f"unseen scanners: {'yes' if method.unseen_scanners else 'no'}")
        settings = " ".join(f"{key}={value}" for key, value in method().describe_parameters().items())
        if settings:
            print(f"{'':<21}parameters: {settings}")
        print(f"{'':<21}{method.limits}")
        if method.cost:
            print(f"{'':<21}{method.cost}")
