"""Shapes of organisations, users, API clients, one-time links and codes."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from flexpeer.wire.api import Asking, Link, Name, Telling


class RoleWord(StrEnum):
    """What an organisation may be."""

    REGIONAL_DSO = "REGIONAL_DSO"
    LOCAL_DSO = "LOCAL_DSO"
    MARKET_OPERATOR = "MARKET_OPERATOR"
    FSP = "FSP"
    AGGREGATOR = "AGGREGATOR"
    BRP = "BRP"
    OBSERVER = "OBSERVER"


class RankWord(StrEnum):
    """An owner may do all and manage accounts, a contributor all else, a reader only look."""

    OWNER = "owner"
    CONTRIBUTOR = "contributor"
    READER = "reader"


class AccountStatus(StrEnum):
    """Where an account is in its life; a closed one is never opened again."""

    INVITED = "invited"
    OPEN = "open"
    CLOSED = "closed"


Password = Annotated[str, Meta(min_length=12, max_length=200)]
Code = Annotated[str, Meta(pattern=r"^\d{6}$")]


class OrganizationRequest(Asking, frozen=True):
    """A new organisation and its first owner, who is invited; `parent` is its overlying or bidding DSO."""

    id: Name
    role: RoleWord
    owner: Name
    parent: Name | None = None


class OrganizationDocument(Telling, frozen=True):
    """An organisation. `link` invites its owner and is shown once."""

    id: str
    role: RoleWord
    parent: str | None = None
    link: str | None = None


class InvitationRequest(Asking, frozen=True):
    """Somebody to invite; `id` is the name to log in with."""

    id: Name
    rank: RankWord


class UserDocument(Telling, frozen=True):
    """A user. `link` is the one-time link of an invitation, shown once; `codes`: logs in with codes too."""

    id: str
    owner_organization_id: str
    rank: RankWord
    status: AccountStatus
    codes: bool = False
    link: str | None = None


class UserList(Telling, frozen=True):
    """Users by name."""

    number_of_hits: int
    items: tuple[UserDocument, ...]
    links: tuple[Link, ...]


class ClientDocument(Telling, frozen=True):
    """An API client; it is a contributor. `secret` is shown once."""

    id: str
    owner_organization_id: str
    status: AccountStatus
    secret: str | None = None


class ClientList(Telling, frozen=True):
    """API clients by id."""

    number_of_hits: int
    items: tuple[ClientDocument, ...]
    links: tuple[Link, ...]


class CodesDocument(Telling, frozen=True):
    """Whether one's login asks for codes. `secret` (base 32) and `address` are for an authenticator, shown once."""

    active: bool
    secret: str | None = None
    address: str | None = None


class CodeRequest(Asking, frozen=True):
    """A code of the authenticator."""

    code: Code
