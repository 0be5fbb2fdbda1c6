"""What a tap changer does to its winding, for every format.

With n steps from neutral and a step of d (per unit) at the angle theta, the voltage at the terminal over the voltage
inside is `ratio`, and it leads the voltage inside by `alpha_deg`:

    stepped        |1 + n d e^(j theta)|,   alpha = arg(1 + n d e^(j theta))            (1)
    turned         1,                       alpha = n x degrees a step                  (2)
    symmetrical    1,                       alpha = 2 arctan(n d / 2)                   (3)
    ideal          1,                       alpha = 2 arcsin(n d / 2)                   (4)

(1), with theta = 0 the ordinary ratio tap, to (3) are those of IEC 61970-301, package Wires; (4) is pandapower's. At
the other end of the winding, as at a star point, a changer acts the other way round.
"""

import cmath
import math
from typing import NamedTuple


class Turn(NamedTuple):
    """What the tap changers of a winding do together; the last four are factors of its impedance and admittance."""

    ratio: float = 1.0
    alpha_deg: float = 0.0
    r: float = 1.0
    x: float = 1.0
    g: float = 1.0
    b: float = 1.0

    def then(self, other: "Turn") -> "Turn":
        """Both of them in series."""
        factors = [one * two for one, two in zip(self[2:], other[2:], strict=True)]
        return Turn(self.ratio * other.ratio, self.alpha_deg + other.alpha_deg, *factors)

    def inverse(self) -> "Turn":
        """The same changer at the other end of the winding."""
        return self._replace(ratio=1.0 / self.ratio, alpha_deg=-self.alpha_deg)


NEUTRAL = Turn()


def stepped(steps: float, percent: float, theta_deg: float = 0.0) -> Turn:
    """Equation (1)."""
    turned_to = 1.0 + cmath.rect(steps * percent / 100.0, math.radians(theta_deg))
    return Turn(abs(turned_to), math.degrees(cmath.phase(turned_to)))


def turned(degrees: float) -> Turn:
    """Equation (2), all steps together."""
    return Turn(alpha_deg=degrees)


def symmetrical(steps: float, percent: float) -> Turn:
    """Equation (3)."""
    return Turn(alpha_deg=2.0 * math.degrees(math.atan(steps * percent / 200.0)))


def ideal(steps: float, percent: float) -> Turn:
    """Equation (4); NaN where no angle has so large a chord."""
    half = steps * percent / 200.0
    return Turn(alpha_deg=2.0 * math.degrees(math.asin(half)) if abs(half) <= 1.0 else math.nan)
