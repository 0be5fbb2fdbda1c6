"""Case 5: 20 MSEK deferred 5 years at 5.5 %: present value gained 4.70 MSEK, 1.10 MSEK a year over the five years.

Origin: 20 (1 - 1.055^-5) = 4.6973; capital recovery of that over five years is 20 x 0.055 = 1.10 exactly.
"""

from decimal import Decimal
from fractions import Fraction

from flexpeer.market.kpi import Alternative, alternative_costs, deferral, deferral_gain

CAPEX, RATE = Fraction(20_000_000), Fraction(55, 1000)


def test_the_gain_of_building_later() -> None:
    assert round(float(deferral_gain(CAPEX, RATE, 5)), 0) == 4_697_313
    assert round(float(deferral_gain(CAPEX, RATE, 5)) / 1e6, 2) == 4.70


def test_the_budget_a_year_is_exact() -> None:
    assert deferral(CAPEX, RATE, 5) == 1_100_000


def test_the_alternative_of_a_day_is_its_share_of_the_congested_days() -> None:
    stated = Alternative(capex=Decimal(20_000_000), wacc=Decimal("0.055"), deferral_years=5, congested_days_per_year=44)
    assert alternative_costs(stated, Fraction(0), Fraction(0)) == {"deferral": 25_000}


def test_without_a_number_of_congested_days_every_day_bears_its_share() -> None:
    stated = Alternative(capex=Decimal(7_300), wacc=Decimal(0), lifetime_years=2)
    assert alternative_costs(stated, Fraction(0), Fraction(0)) == {"reinforcement_annuity": 10}
