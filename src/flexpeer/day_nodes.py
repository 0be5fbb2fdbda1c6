"""A market day between organisations, each a program of its own: `flexpeer split` and `flexpeer node` of scenarios."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct, json
from msgspec.structs import replace

from flexpeer.adapters.day_share_files import (
    PromisesFile,
    read_borders,
    read_operator,
    write_dso,
    write_operator,
)
from flexpeer.adapters.ed25519 import read_keys, write_keys
from flexpeer.adapters.folders import new_folder, private_folder, require_fresh
from flexpeer.adapters.gridfiles.several_grids import separated
from flexpeer.adapters.meeting_place import PATIENCE, MeetingPlace, Tell, nonce
from flexpeer.adapters.nats_areas import NatsAreas, serve, without_password
from flexpeer.adapters.results_files import dso_tables, write_dso_tables
from flexpeer.adapters.scenario_files import read_orders
from flexpeer.adapters.scenario_files.layouts import ORDERS
from flexpeer.adapters.server_files import write_authority, write_passwords
from flexpeer.adapters.store import Store
from flexpeer.app.between.grant_node import GrantDesk, GrantNode
from flexpeer.app.between.letters import MARKET_OPERATOR, Desk
from flexpeer.app.between.remote_owner import RemoteOwner, grant_reply_in
from flexpeer.app.between.remote_study import RemoteStudy
from flexpeer.app.between.study_node import StudyNode
from flexpeer.app.day import Day
from flexpeer.app.day_split import DsoShare, OperatorShare, day_digest, gather_bids, split_day
from flexpeer.app.scenario import OrderRow
from flexpeer.app.study.area_study import AreaStudy
from flexpeer.app.study.grid_day import build
from flexpeer.app.study.joint_side import JointSide
from flexpeer.app.views.results import result_object
from flexpeer.bootstrap import LOG_NAME, StageWatch, grid_file, grid_input, own_grid, read_whole, write_day
from flexpeer.errors import bad_input
from flexpeer.grid.network import Flags

UNFINISHED, BIDS = "unfinished", "bids"
"""Where a day's log is while it is not told to everybody; a market operator whose program ended goes on with it."""


def split_scenario(folder: Path, out: Path) -> dict[str, Any]:
    """`flexpeer split` of a scenario: a folder per organisation, and keys, in a new folder."""
    require_fresh(out)
    scenario, opened = read_whole(folder)
    file = grid_file(scenario, opened)
    grid = grid_input(scenario, file)
    if file is None or grid is None:
        raise bad_input("scenario.toml", "there is no [grid]", "a scenario with a grid", field="grid")
    day = build(scenario, grid)
    closes: Flags = np.asarray(day.in_service.any(axis=1))
    files = separated(file, day.owners, closes)
    parts = {dso: (own_grid(own), joints) for dso, (own, joints) in files.items()}
    operator, shares = split_day(scenario, grid, parts)
    with private_folder(out) as work:
        write_operator(operator, work / MARKET_OPERATOR)
        for name, share in shares.items():
            write_dso(share, files[share.own.dso][0], work / name)
        write_keys([MARKET_OPERATOR, *shares], work)
        write_passwords(shares, work)
        write_authority(work)
    dsos = {
        name: {
            "dso": share.own.dso,
            "buses": share.grid.network.bus_count - len(share.own.above),
            "borders": len(share.own.above),
            "resources": len(share.scenario.resources),
            "orders": len(share.scenario.orders),
        }
        for name, share in shares.items()
    }
    return {"dsos": dsos, "periods": scenario.day.mtu_count}


def read_dso(folder: Path) -> DsoShare:
    """A DSO's folder; `BadInput` with all findings. Its orders may be at points of others."""
    own = read_borders(folder)
    scenario, opened = read_whole(folder, (ORDERS,))
    grid = grid_input(scenario, opened)
    if grid is None:
        raise bad_input(str(folder / "scenario.toml"), "there is no [grid]", "the DSO's own grid", field="grid")
    _, orders = read_orders(folder)
    return DsoShare(replace(scenario, orders=orders), grid, own)


def run_day_operator(
    folder: Path, place: MeetingPlace, out: Path, on_progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """`flexpeer node --market-operator` of a scenario: the day, from the bids to the confirmations."""
    require_fresh(out)
    operator, unfinished = read_operator(folder), (place.state or folder) / UNFINISHED
    signatures = read_keys(MARKET_OPERATOR, place.keys)
    desk = Desk(MARKET_OPERATOR, signatures, day_digest(operator.scenario), nonce)
    watch = StageWatch(on_progress)
    with (
        place.for_operator(signatures, [address.name for address in operator.owners]) as server,
        NatsAreas(desk, server, place.timeout_s, read=grant_reply_in) as areas,
    ):
        owners = operator.reached(areas)
        with new_folder(out) as work, Store.open(unfinished) as store:
            with watch.stage("bids"):
                bids = _bids(operator, owners, store)
            scenario = replace(operator.scenario, orders=bids.orders)
            side = JointSide(scenario, [RemoteStudy(owner) for owner in owners])
            log = store.log(scenario.day.delivery_day.isoformat())
            outcome = Day(scenario, log, watch, told=side).run()
            result = result_object(outcome, log.export(work / LOG_NAME, outcome.state_hash))
            result["notes"] = [*bids.odd, *side.odd(), *result.get("notes", ())]
            write_day(outcome, result, work, watch)
        shutil.rmtree(unfinished)
        told = {owner.owner: owner.tell(dso_tables(outcome, owner.owner, operator.home)) for owner in owners}
    dsos = {
        owner.owner: {
            "silences": owner.silences,
            "silenced": owner.silenced,
            "told": told[owner.owner],
            "unconfirmed": [*owner.lost, *owner.undelivered],
            "received": areas.sent_bytes.get(address.name, 0),
            "sent": areas.received_bytes.get(address.name, 0),
        }
        for owner, address in zip(owners, operator.owners, strict=True)
    }
    dropped = {str(why): count for why, count in desk.dropped.items()}
    return result | {"accepted": True, "dsos": dsos, "dropped": dropped}


class _Bids(Struct, frozen=True):
    """Everybody's orders, by arrival, and what was odd."""

    orders: tuple[OrderRow, ...]
    odd: tuple[str, ...]


def _bids(operator: OperatorShare, owners: Sequence[RemoteOwner], store: Store) -> _Bids:
    """As the DSOs brought them, once for a day."""
    kept = store.document(BIDS)
    if kept is not None:
        return json.decode(kept, type=_Bids)
    scenario, odd = gather_bids(operator, owners)
    found = _Bids(scenario.orders, odd)
    store.keep_document(BIDS, json.encode(found).decode())
    return found


def run_day_dso(name: str, folder: Path, place: MeetingPlace, out: Path | None, tell: Tell) -> dict[str, Any]:
    """`flexpeer node --dso` of a scenario: its validator and its FSPs' bids, until the day has ended."""
    if out is not None:
        require_fresh(out)
    share = read_dso(folder)
    signatures = read_keys(name, place.keys)
    study = AreaStudy(*share)
    study.warm_up()
    digest = day_digest(share.scenario)
    with place.for_dso(name, signatures) as server, PromisesFile(place.state or folder, digest) as promises:
        tell(f"{name}: at {without_password(server)}")
        node = GrantNode(StudyNode(study, share.scenario.day.mtu_count), share.scenario.orders, promises)
        desk = GrantDesk(Desk(name, signatures, digest, nonce), node)
        serve(desk, server, PATIENCE * place.timeout_s)
    if out is not None and node.ended:
        with new_folder(out) as work:
            write_dso_tables(node.tables, work)
    return {
        "dso": name,
        "owner": share.own.dso,
        "orders": len(share.scenario.orders),
        "committed": len(node.committed),
        "in_doubt": list(node.in_doubt),
        "accepted": node.ended,
        "status": "the day has ended" if node.ended else "the market operator is silent",
        "dropped": {str(why): count for why, count in desk.desk.dropped.items()},
    }
