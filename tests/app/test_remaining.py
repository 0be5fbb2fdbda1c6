"""What is left of a day is said so that nothing shown as none stands beside a warning of something."""

from decimal import Decimal

import pytest

from flexpeer.app.views.remaining import Remaining, energy_text
from flexpeer.narration import mwh_cell

FEW_WATTS = Decimal(4 * 15) / 60_000_000


@pytest.mark.parametrize(
    ("mwh", "text", "cell"),
    [
        (FEW_WATTS, "1.00 Wh", "<0.001"),
        (Decimal("0.0005"), "500.00 Wh", "<0.001"),
        (Decimal("0.001"), "0.001 MWh", "0.001"),
        (Decimal(0), "0.000 MWh", "0.000"),
        (Decimal("1234.5"), "1,234.500 MWh", "1234.500"),
    ],
)
def test_a_small_energy_is_never_none(mwh: Decimal, text: str, cell: str) -> None:
    assert energy_text(mwh) == text
    assert mwh_cell(float(mwh) + 1e-12 * (mwh > 0)) == cell


def test_a_few_watts_missing_are_told_as_such() -> None:
    left = Remaining(Decimal("0.5"), FEW_WATTS, Decimal("0.2"), FEW_WATTS, 3, 1, 0, doubtful=False)
    assert left.told() == (
        "1.00 Wh of 0.500 MWh of relief is missing (grid side). Of 0.200 MWh curtailed by rule 1.00 Wh stays curtailed "
        "(resource side). Past a limit: 3 element-MTUs before, 1 after the market."
    )
