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
        card = method.card()
        contrasts = " and ".join(method.contrasts)
        print(f"{'':<21}gives {method.gives}; fits on a {method.fits_on}, of {contrasts}; ", end="")
        print(f"needs {card['needs']}; ", end="")
        print(f"unseen subjects: {card['unseen_subjects']}, unseen scanners: {card['unseen_scanners']}")
        print(f"{'':<21}published {card['year']}; the original's license: {card['license']}; ", end="")
        print(f"trained on {card['trained_on']}")
        settings = " ".join(f"{key}={value}" for key, value in method().describe_parameters().items())
        if settings:
            print(f"{'':<21}parameters: {settings}")
        print(f"{'':<21}{method.limits}")
        if method.cost:
            print(f"{'':<21}{method.cost}")
