"""Price-Newton on the steps of devices: the passes over all rows of a slab.

A device is whatever answers to one price: the peers of a bus (price g), a line (price -y), a voltage
(price -z). Each of its rows is a step 0 <= v <= q, s = q - v, with sign d and cost c; duals z of
v >= 0 and y of s >= 0. With p the device's price, the Newton equations of a row are

    d dp - dz + dy = -(c + d p - z + y)                                                       (1)
    z dv + v dz = m - v z - k_v,      -y dv + s dy = m - s y - k_s                            (2)

where m is the aimed complementarity (sigma mu) and k Mehrotra's second order. Eliminating dz, dy:

    dv = (e - d dp) / theta,   1/theta = v s / (z s + y v)                                    (3)
    e  = -(c + d p) + m (1/v - 1/s) + e2                                                      (4)

With the affine step's r = dv/v, u = dv/s (so dz = -z (1 + r), dy = -y (1 - u)) the second order is

    e2 = z r (1 + r) + y u (1 - u)                                                            (5)

A device reports W = sum 1/theta and R = sum d e / theta, so that its rows move by R - W dp. Layout:
`rows` (rows, 5 LANES) holds v, s, z, y, c; devices' rows are consecutive, from `first[i]` to
`first[i + 1]`; LANES periods lie innermost. Equation (3) has one division and no difference of
large numbers. Where a pass is short, its loop over lanes asks how many there are: of a number it knows the compiler
makes scalars rather than vectors. Source: Mehrotra, SIAM J. Optim. 2(4), 1992, in the bounded-variable form.
"""

from flexpeer.clearing.problem import Floats, Integers
from flexpeer.compiled import compiled, compiled_apart

LANES = 8
ROW = 5 * LANES
V, S, Z, Y, C = range(0, ROW, LANES)
WEIGHT, MOVE, SUM = range(0, 3 * LANES, LANES)
BARRIER, SECOND = range(0, 2 * LANES, LANES)
GAP, COST = range(0, 2 * LANES, LANES)
LINEAR, PRODUCT = range(0, 2 * LANES, LANES)
PRIMAL, DUAL = range(0, 2 * LANES, LANES)


@compiled_apart
def gather(rows: Floats, sign: Floats, first: Integers, price: Floats, out: Floats, totals: Floats) -> None:
    """W, affine R and sum d v per device into `out` (devices, 3 LANES); sums of v z + s y and of c v."""
    totals[:] = 0.0
    lanes = price.shape[1]
    for i in range(len(first) - 1):
        answer, p = out[i], price[i]
        answer[:] = 0.0
        for j in range(first[i], first[i + 1]):
            d, row = sign[j], rows[j]
            for t in range(lanes):
                v, s, z, y, c = row[V + t], row[S + t], row[Z + t], row[Y + t], row[C + t]
                loose = v * s / (z * s + y * v)
                answer[WEIGHT + t] += loose
                answer[MOVE + t] -= d * (c + d * p[t]) * loose
                answer[SUM + t] += d * v
                totals[GAP + t] += v * z + s * y
                totals[COST + t] += c * v


@compiled_apart
def probe(
    rows: Floats, sign: Floats, first: Integers, price: Floats, out: Floats, totals: Floats, reach: Floats
) -> None:
    """The affine step, its price `price` + change already added: what the corrector needs.

    `out` (devices, 2 LANES) gets sum d (1/v - 1/s) / theta and sum d e2 / theta; `totals` the sums of
    z dv + y ds and dv dz + ds dy; `reach` the largest -dv/v, -ds/s and the largest -dz/z, -dy/y.
    """
    totals[:] = 0.0
    reach[:] = 0.0
    for i in range(len(first) - 1):
        answer, p = out[i], price[i]
        answer[:] = 0.0
        for j in range(first[i], first[i + 1]):
            d, row = sign[j], rows[j]
            for t in range(LANES):
                v, s, z, y, c = row[V + t], row[S + t], row[Z + t], row[Y + t], row[C + t]
                stiff = 1.0 / (z * s + y * v)
                pull = -(c + d * p[t]) * stiff
                r, u = s * pull, v * pull
                dv = v * r
                second = z * r * (1.0 + r) + y * u * (1.0 - u)
                answer[BARRIER + t] += d * (s - v) * stiff
                answer[SECOND + t] += d * second * v * s * stiff
                totals[LINEAR + t] += (z - y) * dv
                totals[PRODUCT + t] -= dv * (z * (1.0 + r) - y * (1.0 - u))
                reach[PRIMAL + t] = max(reach[PRIMAL + t], -r, u)
                reach[DUAL + t] = max(reach[DUAL + t], 1.0 + r, 1.0 - u)


@compiled
def _direction(
    state: tuple[float, float, float, float], pull: float, along: float, aim: float
) -> tuple[float, float, float]:
    """(dv, dz, dy) of a row: `pull` is -(c + d (p + affine dp)), `along` is -(c + d (p + dp)), `aim` is m."""
    v, s, z, y = state
    stiff = 1.0 / (z * s + y * v)
    r, u = s * pull * stiff, v * pull * stiff
    low, high = z * r * (1.0 + r), y * u * (1.0 - u)
    dv = (along * v * s + aim * (s - v) + (low + high) * v * s) * stiff
    over = 1.0 / (v * s)
    dz = (aim - z * dv) * s * over - z + low
    dy = (aim + y * dv) * v * over - y - high
    return dv, dz, dy


@compiled_apart
def aim_at(
    rows: Floats, sign: Floats, first: Integers, affine: Floats, price: Floats, aim: Floats, reach: Floats
) -> None:
    """Step bounds of the corrected step; `affine`, `price` are prices after the affine and the full step."""
    reach[:] = 0.0
    for i in range(len(first) - 1):
        before, p = affine[i], price[i]
        for j in range(first[i], first[i + 1]):
            d, row = sign[j], rows[j]
            for t in range(LANES):
                v, s, z, y, c = row[V + t], row[S + t], row[Z + t], row[Y + t], row[C + t]
                pull, along = -(c + d * before[t]), -(c + d * p[t])
                dv, dz, dy = _direction((v, s, z, y), pull, along, aim[t])
                reach[PRIMAL + t] = max(reach[PRIMAL + t], -dv / v, dv / s)
                reach[DUAL + t] = max(reach[DUAL + t], -dz / z, -dy / y)


@compiled_apart
def advance(
    rows: Floats, sign: Floats, first: Integers, affine: Floats, price: Floats, aim: Floats, length: Floats
) -> None:
    """Take the corrected step: `length` (2 LANES,) of its primal and dual part."""
    for i in range(len(first) - 1):
        before, p = affine[i], price[i]
        for j in range(first[i], first[i + 1]):
            d, row = sign[j], rows[j]
            for t in range(LANES):
                v, s, z, y, c = row[V + t], row[S + t], row[Z + t], row[Y + t], row[C + t]
                pull, along = -(c + d * before[t]), -(c + d * p[t])
                dv, dz, dy = _direction((v, s, z, y), pull, along, aim[t])
                row[V + t] = v + length[PRIMAL + t] * dv
                row[S + t] = s - length[PRIMAL + t] * dv
                row[Z + t] = z + length[DUAL + t] * dz
                row[Y + t] = y + length[DUAL + t] * dy
