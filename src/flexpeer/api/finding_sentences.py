"""What is wrong with a body or a file, as sentences to translate: what decoders and checks say, in templates.

A message stays as it is over the API; whoever shows it in another language takes the sentence. A value `place` says
where it is.
"""

import re
from typing import Final

from flexpeer.wire.api import Sentence

KINDS: Final = {
    "int": "a whole number",
    "decimal": "a number",
    "float": "a number",
    "str": "a text",
    "array": "a list",
    "object": "an object",
    "bool": "true or false",
    "null": "nothing",
}
OF_A_FILE: Final = "{field}: {problem}; expected {expected}"
OF_A_WHOLE_FILE: Final = "{problem}; expected {expected}"
PATTERNS: Final = {
    r"Object missing required field `(?P<field>[^`]+)`": "the field {field} is missing",
    r"Object missing required field `(?P<field>[^`]+)` or `(?P<other>[^`]+)`": (
        "one of the fields {field} and {other} is missing"
    ),
    r"Object contains unknown field `(?P<field>.*)`": "there is no field called {field}",
    r"Expected `(?P<expected>[^`]+)`, got `(?P<found>[^`]+)`": "expected was {expected}, and {found} was found",
    r"Expected `(?P<expected>[^`]+)`": "expected was {expected}",
    r"Expected `(?P<expected>[^`]+)` >= (?P<least>\S+)": "expected was {expected}, at least {least}",
    r"Expected `(?P<expected>[^`]+)` > (?P<below>\S+)": "expected was {expected}, more than {below}",
    r"Expected `(?P<expected>[^`]+)` <= (?P<most>\S+)": "expected was {expected}, at most {most}",
    r"Expected `str` of length >= (?P<least>\d+)": "the text is shorter than {least} characters",
    r"Expected `str` of length <= (?P<most>\d+)": "the text is longer than {most} characters",
    r"Expected `array` of length >= (?P<least>\d+)": "the list has fewer than {least} entries",
    r"Expected `array` of length <= (?P<most>\d+)": "the list has more than {most} entries",
    r"Expected `array` of length (?P<count>\d+)": "the list does not have {count} entries, as the order has",
    r"Expected `str` matching regex .+": "the text does not have the form that /openapi.json describes",
    r"Invalid enum value '?(?P<found>.*?)'?": "{found} is none of the words that may stand here",
    r"Invalid decimal string": "this is no number",
    r"Input data was truncated": "the JSON ends before it is complete",
    r"JSON is malformed: .+ \(byte (?P<byte>\d+)\)": "this is no JSON from byte {byte} on",
    r"this is no CSV: .+": "this is no CSV",
    r"'(?P<found>.*)' is no number": "{found} is no number",
    r"Invalid isoformat string: '?(?P<found>.*?)'?": "{found} is no instant with date, time and UTC offset",
    r"(?P<field>\w+) must be in (?P<expected>\S+)": "no instant has a {field} outside {expected}",
    r"no UTC offset": "the instant has no UTC offset",
    r"not a whole minute": "the instant is not at a whole minute",
    r"outside the years 1970 to 9998": "the instant is outside the years 1970 to 9998",
    r"(?P<name>.+) is between (?P<least>-?\d+) and (?P<most>-?\d+) W": "{name} is between {least} and {most} W",
    r"is not between 0 and the dearest alternative, (?P<most>.+)": (
        "the price is not between 0 and that of the dearest alternative, {most}"
    ),
    r"the columns are (?P<found>.*); expected (?P<expected>.+)": "the columns are {found}; expected {expected}",
}
_COMPILED: Final = tuple((re.compile(pattern, re.DOTALL), template) for pattern, template in PATTERNS.items())


def sentence_of_message(message: str) -> Sentence:
    """The message as a sentence; as it is where nobody knows its pattern."""
    text, _, path = message.partition(" - at `")
    place = {"place": path.rstrip("`")} if path else {}
    for pattern, template in _COMPILED:
        found = pattern.fullmatch(text)
        if found is not None:
            return Sentence(template, {name: _kind(name, value) for name, value in found.groupdict().items()} | place)
    return Sentence(text, place)


def _kind(name: str, value: str) -> str:
    """A decoder's name of a kind in words; of alternatives the first that is something."""
    if name not in ("expected", "found"):
        return value
    first = next((each for each in value.split(" | ") if each != "null"), value)
    return KINDS.get(first, value)


def sentence_of_finding(field: str, problem: str, expected: str) -> Sentence:
    """One finding of a file."""
    values = {"problem": problem, "expected": expected}
    return Sentence(OF_A_FILE, {"field": field, **values}) if field else Sentence(OF_A_WHOLE_FILE, values)
