import numpy as np
import pytest

from flexpeer.clearing.price_newton import LARGEST, coarse, rough
from flexpeer.clearing.problem import Floats
from flexpeer.laboratory.between.border_numbers import lane_bits, lanes_of, packed, unpacked
from flexpeer.laboratory.between.borders import Numbers

ROWS = np.random.default_rng(0).normal(size=(3, 10)) * 10.0 ** np.arange(-20.0, 20.0, 4.0)


@pytest.mark.parametrize(("values", "size"), [(ROWS, 8), (coarse(ROWS), 4), (rough(ROWS), 2), (0.0 * ROWS, 2)])
def test_numbers_are_as_short_as_loses_nothing(values: Floats, size: int) -> None:
    lanes = np.arange(10) % 3 > 0
    assert lanes_of(lane_bits(lanes), 10) is not None
    for chosen in (None, lanes):
        numbers = packed(values, chosen)
        assert len(numbers.data) == size * values[:, lanes if chosen is not None else slice(None)].size
        found = unpacked(numbers, 10, chosen)
        assert found is not None
        assert (found == (values if chosen is None else np.where(lanes, values, 0.0))).all()


def test_what_is_no_such_rows_is_not_read() -> None:
    for numbers in (
        Numbers(1, b"123"),
        Numbers(-1, b""),
        Numbers(1, np.full(10, np.inf).tobytes()),
        Numbers(2, b"0" * 7),
    ):
        assert unpacked(numbers, 10, None) is None


def test_rounding_keeps_signs_sizes_and_order() -> None:
    for rounding, digits in ((coarse, 2.0**-23), (rough, 2.0**-8)):
        assert (np.abs(rounding(ROWS) - ROWS) <= digits * np.abs(ROWS)).all()
        assert (rounding(rounding(ROWS)) == rounding(ROWS)).all()
        assert (np.diff(rounding(np.sort(ROWS.ravel()))) >= 0.0).all()
        assert np.isfinite(rounding(np.array([LARGEST, -LARGEST, 1e300, -1e300]))).all()
        assert (rounding(np.array([0.0, 1.0, -2.0])) == [0.0, 1.0, -2.0]).all()
