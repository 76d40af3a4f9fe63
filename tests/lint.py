"""Run `snakemake --lint` and fail on every finding but one.

The one: a rule should name an environment or a container.  Here all rules run this project's own
package, installed with its locked versions beside the workflow, so there is nothing to name.
"""

from __future__ import annotations

import json
import subprocess
import sys

EXPECTED = "Specify a conda environment or container for each rule."


def main() -> int:
    """Print what is left of the findings; 1 if there is any."""
    command = [sys.executable, "-m", "snakemake", "--lint", "json"]
    printed = subprocess.run(command, capture_output=True, text=True)
    try:
        found = json.loads(printed.stdout)
    except json.JSONDecodeError:
        print(printed.stdout, printed.stderr, sep="\n")
        return 1
    findings = 0
    for kind in ("rules", "snakefiles"):
        for place in found.get(kind) or []:
            for finding in place["lints"]:
                if finding["title"] != EXPECTED:
                    findings += 1
                    print(place, finding, sep="\n")
    print(f"snakemake --lint: {findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
