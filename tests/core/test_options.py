"""Options out of what people write: what is taken, what is refused and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from core.options import NONE, make, typed


@dataclass(frozen=True)
class Example:
    count: int = 1
    share: float = 0.5
    name: str | None = None
    on: bool = False
    way: Literal["first", "last"] = "first"
    size: Literal[1, 2] = 1
    scanners: tuple[str | Mapping[str, Any], ...] = ()
    place: Path | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"count is {self.count}; give 0 or more")


@given(
    st.builds(
        Example,
        count=st.integers(0, 2**40),
        share=st.floats(allow_nan=False, allow_infinity=False),
        name=st.none() | st.text(min_size=1).filter(lambda text: text.lower() not in NONE),
        on=st.booleans(),
        way=st.sampled_from(["first", "last"]),
        size=st.sampled_from([1, 2]),
        place=st.none() | st.sampled_from([Path("a"), Path("/b/c.nii.gz")]),
        labels=st.dictionaries(st.text(), st.text()),
    )
)
def test_what_was_written_is_read_again(example):
    assert make(Example, asdict(example)) == example
    texts = {key: str(value) for key, value in asdict(example).items() if key not in ("scanners", "labels")}
    assert make(Example, texts | {"labels": example.labels}) == example


def test_lists_of_either_kind():
    assert make(Example, {"scanners": ["GE", {"name": "Mine"}]}).scanners == ("GE", {"name": "Mine"})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cuont": 2}, r"study.mine: unknown option 'cuont' \(did you mean 'count'\?\)"),
        ({"count": 2.5}, "study.mine.count: 2.5; give a whole number"),
        ({"count": True}, "study.mine.count: True; give a whole number"),
        ({"share": "half"}, "study.mine.share: 'half'; give a number"),
        ({"name": 3}, "study.mine.name: 3; give text"),
        ({"on": "perhaps"}, "study.mine.on: 'perhaps'; give true or false"),
        ({"way": "lats"}, r"study.mine.way: 'lats' \(did you mean 'last'\?\)"),
        ({"size": 3}, r"study.mine.size: 3 \(known: 1, 2\)"),
        ({"scanners": "GE"}, "study.mine.scanners: 'GE'; give a list"),
        ({"place": 3}, "study.mine.place: 3; give a path"),
        ({"labels": ["a"]}, "study.mine.labels: .'a'.; give a mapping"),
        ({"count": -1}, "study.mine: count is -1; give 0 or more"),
    ],
)
def test_refused(values, message):
    with pytest.raises(InputError, match=message):
        make(Example, values, "study.mine")


@pytest.mark.parametrize("value", ["none", "None", "null", "", None])
def test_none_is_written_in_several_ways(value):
    assert typed(value, str | None, "name") is None
