"""Newton's equations of a grid, solved by one sweep up and one down its tree.

Devices (see `rows`) answer a change of price with R - W dp. On the tree of equations (2), (3) of
`problem`, with g the price of (2), zeta that of (3), r = rho, h = 1/W_line, k = 1/W_volt:

    df    = sum df_c - W dg + R                dy = h df + q,  dg = dg_parent + dy + r dzeta   (1)
    dzeta = sum dzeta_c + k dw + p             dw = dw_parent + r df                          (2)

A bus knows (df, dzeta) = (a dg + b dw + u, b dg + d dw + l) with a <= 0, b <= 0, d >= 0; children's
messages summed, then a -= W, d += k. Putting (1), (2) into it gives the message to the parent:

    det = (1 - r b)^2 + h|a| + r^2 |a| d  (>= 1),   delta = b^2 + |a| d                       (3)
    A = a/det,  B = (b - r delta)/det,  D = (d + h delta)/det                                 (4)
    U = (a q + (1 - r b) u + a r l)/det
    L = ((b - r delta) q + (b h + d r) u + (1 + h|a| - r b) l)/det                            (5)

No term of (3), (4) cancels. Messages between areas are the rows of (4), (5) upwards and (dg, dw)
downwards; bids and topology stay inside. Theory: Khoshfetrat Pakazad, Hansson and Andersen,
arXiv 1502.06384.

Arrays are (buses of the area, k LANES). Devices are numbered buses, lines, voltages.
"""

from typing import NamedTuple

import numpy as np

from flexpeer.clearing.price_newton import coarse
from flexpeer.clearing.problem import Floats, Integers
from flexpeer.clearing.rows import LANES, SUM, WEIGHT
from flexpeer.compiled import compiled_apart


class Messages(NamedTuple):
    """What a piece's tree holds between sweeps; what passes the border is the first row of `sent`, `told`, `above`.

    `own` (buses, 3 LANES) takes messages from below and becomes a, b, d; `sent` (buses, 6 LANES) is A, B, D, 1/det,
    h, k; `moving` (buses, 2 LANES) takes messages from below and becomes u, l; `told` is U, L; `above` (buses,
    2 LANES) holds (dg, dw) of a parent in the area above, 0 at the root.
    """

    own: Floats
    sent: Floats
    moving: Floats
    told: Floats
    above: Floats

    @classmethod
    def room(cls, buses: int) -> "Messages":
        """For so many buses."""
        return cls(*(np.zeros((buses, width * LANES)) for width in (3, 6, 2, 2, 2)))

    @property
    def answer_told(self) -> Floats:
        """A, B, D as they pass the border, (3 LANES,)."""
        return coarse(self.sent[0, : 3 * LANES])

    def flow_change(self) -> Floats:
        """What the piece above takes the flow of the border to change by, (LANES,)."""
        a, b = self.answer_told.reshape(3, LANES)[:2]
        return np.asarray(a * self.above[0, :LANES] + b * self.above[0, LANES:] + coarse(self.told[0, :LANES]))


A, B, D, INV, H, K = range(0, 6 * LANES, LANES)
U, L, FLOW = range(0, 3 * LANES, LANES)
F, W, DG, DY, DZ = range(0, 5 * LANES, LANES)


@compiled_apart
def factor(parent: Integers, rho: Floats, answer: Floats, messages: Messages) -> None:
    """Equation (4) from the leaves up; `answer` (3 buses, 3 LANES) is the devices' from `rows.gather`."""
    own, sent = messages.own, messages.sent
    buses = len(parent)
    for n in range(buses - 1, -1, -1):
        bus, line, volt = answer[n], answer[buses + n], answer[2 * buses + n]
        here, up, r = own[n], sent[n], rho[n]
        for t in range(LANES):
            h, k = soft(line[WEIGHT + t]), soft(volt[WEIGHT + t])
            a, b, d = here[A + t] - bus[WEIGHT + t], here[B + t], here[D + t] + k
            here[A + t], here[D + t] = a, d
            delta = b * b - a * d
            inv = 1.0 / ((1.0 - r * b) * (1.0 - r * b) - a * (h + r * r * d))
            up[A + t] = a * inv
            up[B + t] = (b - r * delta) * inv
            up[D + t] = (d + h * delta) * inv
            up[INV + t], up[H + t], up[K + t] = inv, h, k
        if parent[n] >= 0:
            above = own[parent[n]]
            for t in range(3 * LANES):
                above[t] += up[t]


@compiled_apart
def soft(weight: float) -> float:
    """1/W of a device; a device without rows has no price of its own, so 0."""
    return 1.0 / weight if weight > 0.0 else 0.0


@compiled_apart
def carry(parent: Integers, rho: Floats, move: Floats, rest: Floats, messages: Messages) -> None:
    """Equation (5) from the leaves up.

    `move` (3 buses, LANES) is the devices' R; `rest` (3 buses, LANES) what (1), (2) lack as things stand.
    """
    own, sent, moving, told = messages.own, messages.sent, messages.moving, messages.told
    buses = len(parent)
    for n in range(buses - 1, -1, -1):
        bus_move, line_move, volt_move = move[n], move[buses + n], move[2 * buses + n]
        bus_rest, line_rest, volt_rest = rest[n], rest[buses + n], rest[2 * buses + n]
        here, up, now, tell, r = own[n], sent[n], moving[n], told[n], rho[n]
        for t in range(LANES):
            h, k = up[H + t], up[K + t]
            a, b, d = here[A + t], here[B + t], here[D + t]
            u = now[U + t] + bus_move[t] + bus_rest[t]
            l = now[L + t] + k * (volt_rest[t] - volt_move[t])  # noqa: E741
            q = h * (line_rest[t] - line_move[t])
            now[U + t], now[L + t] = u, l
            tell[U + t] = (a * (q + r * l) + (1.0 - r * b) * u) * up[INV + t]
            tell[L + t] = ((b - r * (b * b - a * d)) * q + (b * h + d * r) * u + (1.0 - a * h - r * b) * l) * up[
                INV + t
            ]
        if parent[n] >= 0:
            above = moving[parent[n]]
            for t in range(2 * LANES):
                above[t] += tell[t]


@compiled_apart
def spread(
    parent: Integers, rho: Floats, move: Floats, rest: Floats, messages: Messages, change: Floats, held: Floats
) -> None:
    """Equations (1), (2) from the root down.

    `change` (3 buses, LANES) becomes the change of the devices' prices, `held` (buses, 5 LANES) df, dw and those again.
    """
    sent, told, above = messages.sent, messages.told, messages.above
    buses = len(parent)
    for n in range(buses):
        line_move, volt_move = move[buses + n], move[2 * buses + n]
        line_rest, volt_rest = rest[buses + n], rest[2 * buses + n]
        up, tell, over, moved, r = sent[n], told[n], above[n], held[n], rho[n]
        dg, dy, dz = change[n], change[buses + n], change[2 * buses + n]
        if parent[n] >= 0:
            price, level = change[parent[n]], held[parent[n]]
            for t in range(LANES):
                over[t], over[LANES + t] = price[t], level[W + t]
        for t in range(LANES):
            g, w = over[t], over[LANES + t]
            df = up[A + t] * g + up[B + t] * w + tell[U + t]
            dzeta = up[B + t] * g + up[D + t] * w + tell[L + t]
            dw = w + r * df
            moved[F + t], moved[W + t] = df, dw
            y = up[H + t] * (df + line_rest[t] - line_move[t])
            moved[DG + t] = g + y + r * dzeta
            moved[DY + t] = -y
            moved[DZ + t] = -up[K + t] * (dw + volt_rest[t] - volt_move[t])
        for t in range(LANES):
            dg[t] = moved[DG + t]
        for t in range(LANES):
            dy[t] = moved[DY + t]
        for t in range(LANES):
            dz[t] = moved[DZ + t]


@compiled_apart
def lacking(parent: Integers, answer: Floats, given: Floats, held: Floats, below: Floats, rest: Floats) -> None:
    """What (1), (2) lack: of a bus its balance, of a line f - its rows, of a voltage w - its rows.

    `given` (3 buses, LANES) is base injection, and what a line and a voltage are when their rows are 0;
    `held` (buses, 2 LANES) is f, w; `below` (buses, LANES) holds flows from areas below and is summed.
    """
    buses = len(parent)
    for n in range(buses - 1, -1, -1):
        now = held[n]
        for i in range(3):
            sums, base, lack = answer[i * buses + n], given[i * buses + n], rest[i * buses + n]
            for t in range(LANES):
                lack[t] = base[t] + sums[SUM + t]
        flow, bus, line, volt = below[n], rest[n], rest[buses + n], rest[2 * buses + n]
        for t in range(LANES):
            bus[t] += flow[t] - now[F + t]
            line[t] = now[F + t] - line[t]
            volt[t] = now[W + t] - volt[t]
        if parent[n] >= 0:
            above = below[parent[n]]
            for t in range(LANES):
                above[t] += now[F + t]
