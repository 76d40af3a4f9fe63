"""Run `snakemake --lint` and fail on every finding but two.

One: a rule should name an environment or a container. Here all rules run this project's own
package, installed with its locked versions beside the workflow, so there is nothing to name.
The other: a command should take what it needs from the configuration as a parameter. The time limit of
a step is no parameter, since a change of a parameter reruns every step.
"""

from __future__ import annotations

import re
import subprocess
import sys

EXPECTED = "Specify a conda environment or container for each rule."
ALLOWED = (EXPECTED, "Shell command directly uses variable config from outside of the rule")


def main() -> int:
    """Print what is left of the findings; 1 if there is any."""
    printed = subprocess.run([sys.executable, "-m", "snakemake", "--lint"], capture_output=True, text=True)
    text = printed.stdout + printed.stderr
    findings = [title for title in re.findall(r"^    \* (.*):$", text, re.MULTILINE) if title not in ALLOWED]
    if findings or EXPECTED not in text:
        print(text)
        return 1
    print("snakemake --lint: nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
