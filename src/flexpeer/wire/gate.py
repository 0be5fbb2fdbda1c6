"""What a DSO holds of the clearing at gate closure, and the calls and answers by which it takes part.

A holding has the orders that come through a DSO and the resources they move, and nothing of anybody else. A call names
what is asked of a share (`Share` in `app/ports.py`); arguments and values are in parts of at most a letter each.
"""

import msgspec


class GateOrder(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An order that can be cleared, watts and minor units per MWh.

    `back_w` of what it has executed may be taken back, `more_w` more be executed, and if any then `least_w` in all.
    `slopes` are the change of each resource's injection per watt, `counts` what a watt executed loads points and MTUs
    with, ppm. Orders of one `alike` (0: none) differ in arrival only.
    """

    order: str
    number: int
    organisation: str
    buys: bool
    first: int
    length: int
    price_minor: int
    back_w: int
    more_w: int
    executed_w: int
    least_w: int
    alike: int
    slopes: dict[str, float]
    counts: tuple[tuple[str, int, int], ...]


class GateResource(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How far a resource may go up and down in each MTU, W, and the sum of its moves by the end of each, W min."""

    resource: str
    up_w: tuple[int, ...]
    down_w: tuple[int, ...]
    energy_wm: tuple[tuple[int, ...], tuple[int, ...]] | None


class GateHolding(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Orders by arrival, resources by name."""

    tick_w: int
    mtu_minutes: int
    mtu_count: int
    orders: tuple[GateOrder, ...]
    resources: tuple[GateResource, ...]
