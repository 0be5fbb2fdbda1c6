"""What all may see of a clearing, and what its parties open later: a folder.

`published.json`: objective, dual bound, the objective of no trade, their gap, and a hash of each party's term of it.
`prices.npz`: prices of lines, voltages and rows. `opened.json`: terms and salts, each its party's own to keep until
somebody asks; floats as hexadecimal, so that hashes match to the last digit.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from flexpeer.adapters.json_files import read_json, write_json
from flexpeer.adapters.npz_files import save
from flexpeer.errors import bad_input
from flexpeer.laboratory.engines.certificate import Certificate, Publication, publish
from flexpeer.laboratory.engines.outcome import Posted

PUBLISHED, PRICES, OPENED = "published.json", "prices.npz", "opened.json"
SALT_BYTES = 16


class _Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    objective: float
    dual_bound: float
    no_trade_objective: float
    gap: float
    terms: dict[str, str]


class _Opened(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    term: str
    salt: str


@dataclass(frozen=True)
class PublishedClearing:
    """A publication, the figures it is about, and what parties have opened of it."""

    objective: float
    dual_bound: float
    no_trade_objective: float
    publication: Publication
    terms: Mapping[str, float]
    salts: Mapping[str, bytes]


def parties_of(certificate: Certificate) -> dict[str, float]:
    """Terms by party: peers, and the limits of lines, voltages and rows."""
    kinds = {
        "peer": certificate.peer_term,
        "line": certificate.line_term,
        "voltage": certificate.voltage_term,
        "row": certificate.row_term,
    }
    return {f"{kind} {at}": float(term) for kind, terms in kinds.items() for at, term in enumerate(terms)}


def write_publication(certificate: Certificate, posted: Posted, folder: Path) -> None:
    """Salts are drawn anew."""
    terms = parties_of(certificate)
    salts = {party: secrets.token_bytes(SALT_BYTES) for party in terms}
    told = publish(terms, salts)
    c = certificate
    published = _Published(c.objective, c.dual_bound, c.no_trade_objective, told.gap, dict(told.digests))
    opened = {party: _Opened(term.hex(), salts[party].hex()) for party, term in terms.items()}
    write_json(published, folder / PUBLISHED)
    write_json(opened, folder / OPENED)
    save(folder / PRICES, {"line_price": posted.line, "voltage_price": posted.voltage, "row_price": posted.row})


def read_publication(folder: Path) -> PublishedClearing:
    """`BadInput` if it is not what `write_publication` writes."""
    meant, wrong = "what --publish writes", "is no publication"
    published = read_json(folder / PUBLISHED, _Published, meant, wrong, meant)
    opened = read_json(folder / OPENED, dict[str, _Opened], meant, wrong, meant)
    try:
        terms = {party: float.fromhex(each.term) for party, each in opened.items()}
        salts = {party: bytes.fromhex(each.salt) for party, each in opened.items()}
    except (ValueError, OverflowError) as error:
        raise bad_input(str(folder / OPENED), f"has no term or salt: {error}", "hexadecimal") from error
    told = Publication(published.gap, published.terms)
    return PublishedClearing(
        published.objective, published.dual_bound, published.no_trade_objective, told, terms, salts
    )
