"""Organisations, their users and API clients, and users' own logins; every change is an entry of the registry."""

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from flexpeer.api.accounts import HASHER, Doorkeeper, new_client
from flexpeer.api.declining import Declined, denied, refused_command
from flexpeer.api.edge import JSON, Answer, Asked, Route
from flexpeer.api.listing import listed, matching
from flexpeer.api.one_time_codes import address, new_secret
from flexpeer.api.permissions import Action, Owned
from flexpeer.api.service import Service
from flexpeer.app.registry import HolderKind, KeepAccount, Life, MarketAccount, Rank, Registry
from flexpeer.market.participants import Organisation, RegisterOrganisation, Role
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.wire.api_accounts import (
    AccountStatus,
    ClientDocument,
    ClientList,
    CodeRequest,
    CodesDocument,
    InvitationRequest,
    OrganizationDocument,
    OrganizationRequest,
    RankWord,
    UserDocument,
    UserList,
)
from flexpeer.wire.api_problems import Denial
from flexpeer.wire.api_queries import AccountQuery

JOIN = "/join?link="


class Users:
    """Routes that change the registry's accounts, and what proves them."""

    def __init__(self, doorkeeper: Doorkeeper) -> None:
        self._doorkeeper = doorkeeper

    async def register(self, asked: Asked) -> Answer:
        """A new organisation; its first owner is invited."""
        wanted = asked.of(OrganizationRequest)
        new = Organisation(wanted.id, Role(wanted.role), wanted.parent)

        def act() -> str:
            if wanted.owner in asked.service.registry.state.accounts:
                raise refused_command(CommandRefused("KeepAccount", wanted.owner, Reason.ALREADY_KNOWN))
            asked.service.register([RegisterOrganisation(new)])
            return self._invited(
                asked.service.registry, MarketAccount(wanted.owner, wanted.id, Rank.OWNER, life=Life.INVITED)
            )

        word = await asked.service.done(act)
        return Answer(201, OrganizationDocument(wanted.id, wanted.role, wanted.parent, link_of(asked, word)))

    async def users(self, asked: Asked) -> Answer:
        """Users of organisations that the caller may look at, by name."""
        documents = [self._user(account) for account in _accounts(asked, HolderKind.USER)]
        return listed(asked, matching(asked.query, documents), UserList)

    async def invite(self, asked: Asked) -> Answer:
        """A one-time link for somebody; a new one in its place for somebody invited before."""
        wanted = asked.of(InvitationRequest)
        account = MarketAccount(wanted.id, asked.caller.organisation, Rank(wanted.rank), life=Life.INVITED)
        registry = asked.service.registry
        word = await asked.service.done(lambda: self._invited(registry, account))
        return Answer(201, replace(self._user(account), link=link_of(asked, word)))

    def _invited(self, registry: Registry, account: MarketAccount) -> str:
        if registry.state.accounts.get(account.account) != account:
            keep(registry, account)
        return self._doorkeeper.invite(account.account)

    def _user(self, account: MarketAccount) -> UserDocument:
        return UserDocument(
            account.account, account.organisation, RankWord(account.rank), AccountStatus(account.life),
            self._doorkeeper.has_codes(account.account),
        )  # fmt: skip

    async def revoke_user(self, asked: Asked) -> Answer:
        """A user or an invitation ends, at once; the last owner stays."""
        return await self._revoked(asked, HolderKind.USER)

    async def clients(self, asked: Asked) -> Answer:
        """API clients of organisations that the caller may look at, by id."""
        documents = [_client(account) for account in _accounts(asked, HolderKind.CLIENT)]
        return listed(asked, matching(asked.query, documents), ClientList)

    async def make_client(self, asked: Asked) -> Answer:
        """A client, whose secret is in this answer only."""
        client_id, secret = new_client()
        account = MarketAccount(client_id, asked.caller.organisation, Rank.CONTRIBUTOR, HolderKind.CLIENT)
        secret_hash = await asyncio.to_thread(HASHER.hash, secret)

        def act() -> None:
            self._doorkeeper.keep_secret(client_id, secret_hash)
            keep(asked.service.registry, account)

        await asked.service.done(act)
        return Answer(201, replace(_client(account), secret=secret))

    async def revoke_client(self, asked: Asked) -> Answer:
        """A client ends, and its tokens with it."""
        return await self._revoked(asked, HolderKind.CLIENT)

    async def _revoked(self, asked: Asked, kind: HolderKind) -> Answer:
        registry = asked.service.registry

        def act() -> None:
            account = registry.state.accounts.get(asked.id)
            if account is None or account.kind is not kind or account.life is Life.CLOSED:
                raise denied(Denial.NOT_FOUND)
            asked.require(Owned(account.organisation))
            owns = (account.rank, account.life) == (Rank.OWNER, Life.OPEN)
            if owns and registry.state.owners(account.organisation) == 1:
                raise denied(Denial.LAST_OWNER)
            keep(registry, replace(account, life=Life.CLOSED))
            self._doorkeeper.forget(asked.id)

        await asked.service.done(act)
        return Answer(204)

    async def read_codes(self, asked: Asked) -> Answer:
        """Whether the caller's own login asks for codes."""
        return Answer(200, CodesDocument(self._doorkeeper.has_codes(asked.caller.client)))

    async def offer_codes(self, asked: Asked) -> Answer:
        """A new secret for the caller's authenticator; it counts when a code of it is shown."""
        user, secret = asked.caller.client, new_secret()
        await asked.service.done(lambda: self._doorkeeper.offer_codes(user, secret))
        active = self._doorkeeper.has_codes(user)
        return Answer(201, CodesDocument(active, secret, address(secret, user)), {"Cache-Control": "no-store"})

    async def take_code(self, asked: Asked) -> Answer:
        """The login asks for codes from now on."""
        return await self._coded(asked, asks=True)

    async def drop_codes(self, asked: Asked) -> Answer:
        """The login asks for no codes any more."""
        return await self._coded(asked, asks=False)

    async def _coded(self, asked: Asked, *, asks: bool) -> Answer:
        user, code = asked.caller.client, asked.of(CodeRequest).code
        change = self._doorkeeper.take_code if asks else self._doorkeeper.drop_codes
        if not await asked.service.done(lambda: change(user, code)):
            raise denied(Denial.WRONG_CODE)
        return Answer(200, CodesDocument(asks))

    @property
    def routes(self) -> tuple[Route, ...]:
        """Organisations, users, clients, codes."""
        manage, own = Action.MANAGE_ACCOUNTS, Action.CHANGE_OWN_LOGIN
        return (
            Route(
                "POST", "/api/Organizations", Action.REGISTER_ORGANISATIONS, self.register,
                "Register an organisation and invite its first owner", {201: OrganizationDocument},
                bodies={JSON: OrganizationRequest},
            ),
            Route(
                "GET", "/api/Users", Action.READ_ACCOUNTS, self.users, "Users", {200: UserList}, query=AccountQuery
            ),
            Route(
                "POST", "/api/Users", manage, self.invite, "Invite somebody by a one-time link", {201: UserDocument},
                bodies={JSON: InvitationRequest},
            ),
            Route("DELETE", "/api/Users/{id}", manage, self.revoke_user, "Revoke a user or an invitation", {204: None}),
            Route(
                "GET", "/api/Clients", Action.READ_ACCOUNTS, self.clients, "API clients", {200: ClientList},
                query=AccountQuery,
            ),
            Route(
                "POST", "/api/Clients", manage, self.make_client, "Make an API client; its secret is shown once",
                {201: ClientDocument},
            ),
            Route("DELETE", "/api/Clients/{id}", manage, self.revoke_client, "Revoke an API client", {204: None}),
            Route(
                "GET", "/api/Codes", own, self.read_codes, "Whether one's login asks for codes", {200: CodesDocument}
            ),
            Route(
                "POST", "/api/Codes", own, self.offer_codes, "A secret for one's authenticator, shown once",
                {201: CodesDocument},
            ),
            Route(
                "PUT", "/api/Codes", own, self.take_code, "Have one's login ask for codes", {200: CodesDocument},
                bodies={JSON: CodeRequest},
            ),
            Route(
                "DELETE", "/api/Codes", own, self.drop_codes, "Have one's login ask for no codes",
                {200: CodesDocument}, bodies={JSON: CodeRequest},
            ),
        )  # fmt: skip


def keep(registry: Registry, account: MarketAccount) -> None:
    """The registry has the account from now on, or declines it; called by the writer."""
    entries = registry.submit(KeepAccount(account))
    if isinstance(entries[0], CommandRefused):
        raise refused_command(entries[0])


def link_of(asked: Asked, word: str) -> str:
    """The address of a one-time link."""
    return f"{str(asked.request.base_url).rstrip('/')}{JOIN}{word}"


async def join(service: Service, doorkeeper: Doorkeeper, word: str, password: str) -> str | None:
    """The user whom a one-time link has let in with a password of its own; None where the link is none."""
    password_hash = await asyncio.to_thread(HASHER.hash, password)

    def act() -> str:
        account = doorkeeper.invited(word)
        if account is None:
            raise denied(Denial.NOT_FOUND)
        doorkeeper.keep_password(account.account, password_hash)
        keep(service.registry, replace(account, life=Life.OPEN))
        return account.account

    try:
        return await service.done(act)
    except Declined:
        return None


def _accounts(asked: Asked, kind: HolderKind) -> Sequence[MarketAccount]:
    known = asked.service.registry.published.accounts
    found = [known[name] for name in sorted(known) if known[name].kind is kind]
    return [account for account in found if account.life is not Life.CLOSED and asked.sees(Owned(account.organisation))]


def _client(account: MarketAccount) -> ClientDocument:
    return ClientDocument(account.account, account.organisation, AccountStatus(account.life))
