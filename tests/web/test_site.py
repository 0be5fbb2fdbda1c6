"""The pages without a browser: who gets which, by which cookie, with which headers, in which language."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from flexpeer.api import finding_sentences, sentences
from flexpeer.api.finding_sentences import sentence_of_message
from flexpeer.market.kpi import KpiReport
from flexpeer.market.participants import Role
from flexpeer.market.reasons import EXPECTED, Reason
from flexpeer.market.rulebook import Rulebook
from flexpeer.market.timeline import Timeline
from flexpeer.web.site import Visitor, site_routes
from flexpeer.web.site.language import LANGUAGES, catalogue, language_of
from flexpeer.web.site.maps import Shown
from flexpeer.web.site.pages import CALLED, PAGES
from flexpeer.web.site.statics import statics_version
from flexpeer.wire.api_problems import ACCEPTED, Denial

SITE = Path(__file__).parents[2] / "src/flexpeer/web/site"
STATIC = f"/static/{statics_version()}"
PASSWORDS = {str(role): f"word of {role}" for role in Role}


class Doors:
    """One user for each role, called like it."""

    cookie, provider = "__Host-session", None

    async def enter(self, user: str, password: str, code: str) -> Visitor | None:
        return self.known(user) if PASSWORDS.get(user) == password and not code else None

    def invited(self, word: str) -> str | None:
        return "FSP" if word == "new" else None

    async def join(self, word: str, _password: str) -> Visitor | None:
        return self.known(self.invited(word))

    def known(self, cookie: str | None) -> Visitor | None:
        return Visitor(cookie, f"Org <{cookie}>", Role(cookie), cookie, "a word") if cookie in PASSWORDS else None


class Maps:
    """Nobody's grid."""

    async def own(self, _organisation: str, _market: str) -> Shown | None:
        return None


@pytest.fixture
def browser() -> Iterator[TestClient]:
    with TestClient(
        Starlette(routes=site_routes(Doors(), Maps())), base_url="https://market", follow_redirects=False
    ) as client:
        yield client


def _enter(browser: TestClient, role: Role) -> None:
    answer = browser.post("/login?to=/book", data={"user": str(role), "password": PASSWORDS[str(role)]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/book")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.module)
def test_a_page_is_for_its_roles_only(page: Any, browser: TestClient) -> None:
    assert browser.get(page.path).headers["location"] == f"/login?to={page.path}"
    for role in Role:
        _enter(browser, role)
        answer = browser.get(page.path)
        assert answer.status_code == (200 if role in page.roles else 403)
        assert (f"{STATIC}/main.js" in answer.text) is (role in page.roles)
        assert "Org &lt;" in answer.text
        links = re.findall(r'<a href="([^"]*)"', answer.text.split("<nav", 1)[1].split("</nav>")[0])
        assert links == [each.path for each in PAGES if role in each.roles]


def test_every_answer_forbids_what_is_not_ours(browser: TestClient) -> None:
    _enter(browser, Role.FSP)
    for path in ("/", "/login", f"{STATIC}/main.js", f"{STATIC}/nothing.js", f"{STATIC}/pages/nothing"):
        policy = browser.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy


def test_a_file_is_kept_until_it_changes_and_an_older_page_still_gets_it(browser: TestClient) -> None:
    kept = browser.get(f"{STATIC}/main.js")
    assert "immutable" in kept.headers["cache-control"]
    older = browser.get("/static/0123456789abcdef/main.js")
    assert (older.text, older.headers["cache-control"]) == (kept.text, "no-cache")
    assert browser.get(f"{STATIC}/words/sv.js").text.startswith("export default {")
    assert browser.get(f"{STATIC}/words/../main.py").status_code == 404


def test_a_wrong_password_is_told_and_a_foreign_form_is_nobody(browser: TestClient) -> None:
    form = {"user": "FSP", "password": "guessed"}
    answer = browser.post("/login", data=form)
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    form["password"] = PASSWORDS["FSP"]
    assert browser.post("/login", data=form, headers={"Origin": "https://elsewhere"}).status_code == 401
    entered = browser.post("/login?to=//elsewhere/", data=form, headers={"Origin": "https://market"})
    assert entered.headers["location"] == "/"
    cookie = entered.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("__host-session", "httponly", "secure", "samesite=lax", "path=/"))


def test_a_link_lets_in_whoever_chooses_a_password(browser: TestClient) -> None:
    assert 'role="alert"' in browser.get("/join?link=old").text
    assert browser.get("/join?link=new").text.count("FSP") == 1
    assert browser.post("/join?link=new", data={"password": "too short"}).status_code == 422
    chosen = {"password": "long enough to be one"}
    assert browser.post("/join?link=new", data=chosen, headers={"Origin": "https://elsewhere"}).status_code == 422
    assert browser.post("/join?link=old", data=chosen).status_code == 404
    assert browser.post("/join?link=new", data=chosen).headers["location"] == "/"
    assert browser.get("/").status_code == 200


def test_the_public_page_is_for_everybody_and_found_from_the_login(browser: TestClient) -> None:
    assert 'href="/public"' in browser.get("/login").text
    answer = browser.get("/public")
    assert answer.status_code == 200
    assert f"{STATIC}/public.js" in answer.text
    assert 'name="word"' not in answer.text
    assert browser.post("/language", data={"language": "sv", "to": "/public"}).headers["location"] == "/public"
    assert "Öppen marknad" in browser.get("/public").text


def test_going_out_ends_the_session(browser: TestClient) -> None:
    _enter(browser, Role.FSP)
    assert browser.get("/").status_code == 200
    browser.post("/logout", headers={"Origin": "https://elsewhere"})
    assert browser.get("/").status_code == 200
    browser.post("/logout", headers={"Origin": "https://market"})
    assert browser.get("/").status_code == 303


def test_pages_speak_what_the_browser_or_its_user_chooses(browser: TestClient) -> None:
    _enter(browser, Role.FSP)
    assert "<h1>Dagen</h1>" in browser.get("/", headers={"Accept-Language": "sv-SE,sv;q=0.9"}).text
    assert "<h1>The day</h1>" in browser.get("/", headers={"Accept-Language": "de"}).text
    assert browser.post("/language", data={"language": "sv", "to": "/orders"}).headers["location"] == "/orders"
    assert 'lang="sv"' in browser.get("/").text
    assert language_of("xx", "") == "en"


def _messages() -> set[str]:
    found: set[str] = set()
    for path in SITE.glob("static/**/*.js"):
        found |= set(re.findall(r'\bt\("((?:[^"\\]|\\.)*)"', path.read_text(encoding="utf-8")))
    for path in SITE.glob("templates/*.html"):
        found |= set(re.findall(r'_\("([^"]*)"\)', path.read_text(encoding="utf-8")))
    return found | {page.title for page in PAGES} | set(CALLED.values())


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != "en"])
def test_every_message_is_translated_with_its_values(language: str) -> None:
    words = catalogue(language)
    assert _messages() - words.keys() == set()
    for text, translated in words.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", translated)), text


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != "en"])
def test_names_of_rules_and_key_figures_are_translated(language: str) -> None:
    names = {*Rulebook.__struct_fields__, *Timeline.__struct_fields__, *KpiReport.__struct_fields__}
    assert {name.replace("_", " ") for name in names} - catalogue(language).keys() == set()


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != "en"])
def test_every_reason_and_what_would_be_accepted_is_translated(language: str) -> None:
    texts = {str(reason).replace("_", " ") for reason in (*Reason, *Denial)}
    texts |= {*EXPECTED.values(), *ACCEPTED.values()}
    assert texts - catalogue(language).keys() == set()


PLACE = r"""[^",]*(?:f?"[^"]*"[^",]*)?"""
SAID = rf"""(?:denied\(\s*Denial\.\w+,\s*"([^"]+)"|ValidationError\(\s*{PLACE},\s*"([^"]+)"|malformed\("([^"]+)")"""


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != "en"])
def test_every_sentence_of_a_refusal_is_translated(language: str) -> None:
    """Those of the market's reasons, and what the service says in words of its own."""
    own = {value for name, value in vars(sentences).items() if name.isupper() and isinstance(value, str)}
    own |= {*finding_sentences.PATTERNS.values(), *finding_sentences.KINDS.values()}
    own |= {finding_sentences.OF_A_FILE, finding_sentences.OF_A_WHOLE_FILE}
    for path in (SITE.parents[1] / "api").glob("*.py"):
        said = re.findall(SAID, path.read_text(encoding="utf-8"))
        own |= {sentence_of_message(each).template for each in chain(*said) if each}
    assert sentences.SENTENCES.keys() == set(Reason)
    assert {*sentences.SENTENCES.values(), *own} - {"{detail}"} - catalogue(language).keys() == set()


def test_every_page_has_its_module_and_nothing_comes_from_elsewhere() -> None:
    modules = {path.stem for path in (SITE / "static/pages").glob("*.js")}
    assert modules == {page.module for page in PAGES}
    for path in [*SITE.glob("static/**/*"), *SITE.glob("templates/*")]:
        if path.is_file():
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert "http://" not in text, path
            assert "https://" not in text, path
            assert "innerHTML" not in text, path
            assert "eval(" not in text, path
