"""Libraries that the plain install leaves out, and the extras of pyproject.toml that bring them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.util import find_spec

from core.errors import InputError

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "methods": ("intensity_normalization", "safetensors", "skimage", "torch"),
    "scans": ("ants", "bids", "deepbet", "nilearn", "pooch"),
    "fsl": ("nipype",),
    "greedy": ("SimpleITK", "picsl_greedy"),
}
"""By extra the modules that it is there for: methods of harmonization, scans made or preprocessed, FSL's engine,
`registration: greedy`."""


def check_libraries(modules: Iterable[str], where: str, *, instead: str = "") -> None:
    """Refuse (`InputError`) to go on without one of the `modules`, naming what installs them.

    `where` names what wants them; `instead` says what else may be done, such as "set brain: given". Imports none.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if not missing:
        return
    extras = [extra for extra, known in EXTRAS.items() if set(known) & set(missing)]
    others = [module for module in missing if not any(module in known for known in EXTRAS.values())]
    wanted = [*([f'"mispel-benchmark[{",".join(extras)}]"'] if extras else []), *others]
    raise InputError(
        f"{where} needs {' and '.join(missing)}, not installed here: pip install {' '.join(wanted)}"
        + (f", or {instead}" if instead else "")
    )
