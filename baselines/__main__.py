"""`python -m baselines`: every arm by hand, MISPEL too."""

from __future__ import annotations

import argparse

from baselines.harness.commands import add_apply_options, add_fit_options, fit_from, harmonize_from
from baselines.harness.registry import methods
from baselines.harness.template import write_template
from core.jobs.command import run


def main() -> None:
    """Parse the command line and do what it asks for."""
    parser = argparse.ArgumentParser(prog="python -m baselines", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)

    verbs.add_parser("list", help="every method, what it needs, its parameters and what it cannot do")

    fit = verbs.add_parser("fit", help="fit a method on a sheet of scans and save the model")
    fit.add_argument("method")
    add_fit_options(fit)

    harmonize = verbs.add_parser("apply", help="harmonize the scans of a sheet with a saved model")
    harmonize.add_argument("method")
    add_apply_options(harmonize)

    new = verbs.add_parser("new", help="write a commented template of a method into this folder")
    new.add_argument("name", help="the method's id: lower case letters, digits and _")

    given = parser.parse_args()
    if given.verb == "list":
        print_methods()
    elif given.verb == "fit":
        fit_from(given, given.method)
    elif given.verb == "apply":
        harmonize_from(given, given.method)
    else:
        print(f"wrote {write_template(given.name)}: its comments say what to edit")


def print_methods() -> None:
    """Print every method with its citation, needs, parameters and limits."""
    for name, method in methods().items():
        print(f"{name:<21}{method.label}: {method.citation}")
        needs = ", ".join(sorted(method.needs)) or "nothing special"
        print(f"{'':<21}fits on a {method.fits_on}; needs {needs}; ", end="")
        print(f"unseen subjects: {'yes' if method.unseen_subjects else 'no'}, ", end="")
        print(f"unseen scanners: {'yes' if method.unseen_scanners else 'no'}")
        settings = " ".join(f"{key}={value}" for key, value in method().describe_parameters().items())
        if settings:
            print(f"{'':<21}parameters: {settings}")
        print(f"{'':<21}{method.limits}")


if __name__ == "__main__":
    run(main)
