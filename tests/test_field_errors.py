"""What may stand in a field, in words: for every field of every struct that a workload file fills."""

from __future__ import annotations

import msgspec
import pytest

from vramcast.errors import UnknownNameError, WorkloadError
from vramcast.field_errors import legal, refusal
from vramcast.workload import Habits, InputSpec, Validation, Workload


@pytest.mark.parametrize("struct", [Workload, Validation, Habits, InputSpec])
def test_every_field_can_be_told(struct):
    for field in msgspec.inspect.type_info(struct).fields:
        assert legal(field.type).split()[0] in ("a", "one", "true"), field.name


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    sizes: tuple[int, ...] = ()
    share: float | None = None


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    inner: Inner | None = None
    pairs: tuple[tuple[int, str], ...] = ()


@pytest.mark.parametrize(
    ("given", "kind", "told"),
    [
        ({"inner": {"sizes": [1, 2, "x"]}}, WorkloadError, "inner.sizes[2] is 'x'; it must be a whole number."),
        ({"inner": {"share": []}}, WorkloadError, "inner.share is []; it must be a number."),
        ({"inner": {"size": 3}}, UnknownNameError, "no field of inner is called 'size'. Closest: share, sizes."),
        ({"pairs": [[1, "a"], [2, 3]]}, WorkloadError, "pairs[1][1] is 3; it must be a text."),
        ({"pairs": [[1]]}, WorkloadError, "pairs[0] is [1]; it must be a list [a whole number, a text]."),
        ({"pairs": 3}, WorkloadError, "pairs is 3; it must be a list, each item a list [a whole number, a text]."),
    ],
)
def test_the_place_the_value_and_what_is_legal_are_told(given, kind, told):
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(given, Outer)
    error = refusal(caught.value, given, Outer)
    assert (type(error), str(error)) == (kind, told)
