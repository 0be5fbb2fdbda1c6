"""The languages of the pages: English as written, the others by gettext catalogues."""

from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Final

from babel import Locale, negotiate_locale
from babel.messages.pofile import read_po

ENGLISH: Final = "en"
LANGUAGES: Final = (ENGLISH, "sv")


def language_of(chosen: str | None, accepted: str) -> str:
    """The one somebody chose, else the best of what the browser accepts."""
    if chosen in LANGUAGES:
        return chosen
    wanted = [part.split(";")[0].strip().replace("-", "_") for part in accepted.split(",")]
    return negotiate_locale([w for w in wanted if w], LANGUAGES, sep="_") or ENGLISH


def name_of(language: str) -> str:
    """What a language calls itself."""
    return (Locale.parse(language).get_display_name(language) or language).capitalize()


@cache
def catalogue(language: str) -> dict[str, str]:
    """Every message in a language, by its English text; nothing for English."""
    if language == ENGLISH:
        return {}
    text = (files("flexpeer.web.site") / "locale" / f"{language}.po").read_bytes()
    return {str(m.id): str(m.string) for m in read_po(BytesIO(text), locale=language) if m.id and m.string}
