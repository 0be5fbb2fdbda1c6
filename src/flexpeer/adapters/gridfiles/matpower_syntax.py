"""The text of a MATPOWER case file as statements of tokens, each with its line.

Comments go first, strings respected. A matrix of plain numbers, which is nearly all of a file, is
split by hand; every other statement becomes tokens. Inside brackets white space separates elements:
`[1 -2]` has two, `[1 - 2]` and `[1 -2*3 ...` follow the same rule as in MATLAB.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from flexpeer.errors import BadInput, bad_input

NAME = r"[A-Za-z]\w*(?:\.[A-Za-z]\w*)*"
TEXT = r"'(?:[^'\n]|'')*'|\"[^\"\n]*\""
NOT_COMMENT = re.compile(rf"(?:[^'\"%]|(?<=[\w)\]}}'.])'|{TEXT})*")
BLOCK_COMMENT = re.compile(r"^[ \t]*%\{[ \t]*$.*?^[ \t]*%\}[ \t]*$", re.MULTILINE | re.DOTALL)
LITERAL = re.compile(rf"[\s;,]*({NAME})[ \t]*=[ \t]*\[([^\]'\"\[({{]*)\][ \t]*(?=[;,\n]|\Z)")
NUMERIC = re.compile(r"(?:[\d\s.eE+\-,;]|Inf|inf|NaN|nan)*")
GAP = re.compile(r"(?:[ \t\r\f\v]|\.\.\.[^\n]*(?:\n|\Z))*")
TOKEN = re.compile(
    r"(?P<number>(?:\d+(?:\.(?![*/^'])\d*)?|\.\d+)(?:[eEdD][+-]?\d+)?)"
    rf"|(?P<name>{NAME})|(?P<string>{TEXT})"
    r"|(?P<symbol>\.[*/^']|[=~<>]=|&&|\|\||[-+*/^()\[\]{},;:=~&|<>@!'\n])"
)
OPENING, CLOSING = "([{", ")]}"
MAX_DEPTH = 40


class Token(NamedTuple):
    """A piece of a statement; `kind` is number, name, string or symbol, a string is without its quotes."""

    kind: str
    text: str
    line: int


class Statement(NamedTuple):
    """The tokens of one statement, without its end."""

    line: int
    tokens: tuple[Token, ...]


class Literal(NamedTuple):
    """`target = [rows]` of plain numbers, with the line of each row."""

    line: int
    target: str
    rows: tuple[tuple[float, ...], ...]
    row_lines: tuple[int, ...]


def statements(text: str, where: str) -> Iterator[Statement | Literal | BadInput]:
    """Every statement in file order; a piece that cannot be split is given as the error it is."""
    text = without_comments(text.replace("\r\n", "\n"))
    position, line = 0, 1
    while position < len(text):
        start = position
        literal = LITERAL.match(text, position)
        found = literal and _numeric_literal(literal, line)
        if literal and found:
            position = literal.end()
            yield found
        else:
            statement, position = _split(text, position, line, where)
            yield from [statement] if isinstance(statement, BadInput) or statement.tokens else []
        line += text.count("\n", start, position)


def without_comments(text: str) -> str:
    """The text with comments blanked; lines stay where they are."""
    text = BLOCK_COMMENT.sub(lambda block: "\n" * block[0].count("\n"), text)
    return "\n".join(line if "%" not in line else _uncommented(line) for line in text.split("\n"))


def _uncommented(line: str) -> str:
    before, _, _ = line.partition("%")
    if "'" not in before and '"' not in before:
        return before
    found = NOT_COMMENT.match(line)
    return found[0] if found else line


def _numeric_literal(literal: re.Match[str], line: int) -> Literal | None:
    """The rows of a literal of numbers only, or None where it needs the general way."""
    body = literal[2]
    if not NUMERIC.fullmatch(body) or re.search(r",\s*[,;]|;\s*,", body):
        return None
    first = line + literal.string.count("\n", literal.start(), literal.start(1))
    try:
        rows = [(first + offset, row) for offset, text in enumerate(body.split("\n")) for row in _number_rows(text)]
    except ValueError:
        return None
    if any(len(row) != len(rows[0][1]) for _, row in rows):
        return None
    return Literal(first, literal[1], tuple(row for _, row in rows), tuple(at for at, _ in rows))


def _number_rows(text: str) -> Iterator[tuple[float, ...]]:
    """The rows on one line; `ValueError` where a word is no number."""
    for piece in text.split(";"):
        row = tuple(map(float, piece.replace(",", " ").split()))
        if row:
            yield row


def _split(text: str, position: int, line: int, where: str) -> tuple[Statement | BadInput, int]:
    """The next statement, or what keeps it from being one; reading goes on in the line after that."""
    try:
        return _next_statement(text, position, line, where)
    except BadInput as error:
        return error, _next_line(text, position, error.findings[0].line - line)


def _next_line(text: str, position: int, lines: int) -> int:
    """Where the line after the next `lines` begins."""
    for _ in range(lines + 1):
        position = text.find("\n", position) + 1 or len(text)
    return position


def _next_statement(text: str, position: int, line: int, where: str) -> tuple[Statement, int]:
    """The statement from a position and where it ends, its `;`, `,` or line end included."""
    tokens: list[Token] = []
    open_brackets: list[str] = []
    while position < len(text):
        gap = GAP.match(text, position)
        spaced = gap is not None and gap.end() > position
        if gap:
            line += text.count("\n", position, gap.end())
            position = gap.end()
        if position == len(text):
            break
        token, position = _token(text, position, line, spaced, tokens, open_brackets, where)
        line += token.text == "\n"
        if token.text in {";", ",", "\n"} and token.kind == "symbol" and not open_brackets:
            break
        if in_list(open_brackets) and spaced and _begins_element(token, tokens, text, position):
            tokens.append(Token("symbol", ",", line))
        _track(token, open_brackets, where)
        if token.text != "\n" or in_list(open_brackets):
            tokens.append(token if token.text != "\n" else token._replace(text=";"))
    if open_brackets:
        raise bad_input(where, f"{open_brackets[-1]!r} is not closed", "its closing bracket", line=tokens[0].line)
    return Statement(tokens[0].line if tokens else line, tuple(tokens)), position


def in_list(open_brackets: list[str]) -> bool:
    """Whether white space and line ends separate elements here."""
    return bool(open_brackets) and open_brackets[-1] != "("


def ends_operand(token: Token) -> bool:
    """Whether a value ends with this token."""
    return token.kind != "symbol" or token.text in {")", "]", "}", "'", ".'"}


def _token(
    text: str, position: int, line: int, spaced: bool, before: list[Token], open_brackets: list[str], where: str
) -> tuple[Token, int]:
    transposes = bool(before) and ends_operand(before[-1]) and not (spaced and in_list(open_brackets))
    if text[position] == "'" and transposes:
        return Token("symbol", "'", line), position + 1
    found = TOKEN.match(text, position)
    if not found or found[0] == "'":
        problem = "a text without its end" if found else f"{text[position]!r}"
        raise bad_input(where, problem, "a MATPOWER case file", line=line)
    kind = str(found.lastgroup)
    content = found[0]
    if kind == "string":
        content = content[1:-1].replace("''", "'") if content[0] == "'" else content[1:-1]
    return Token(kind, content, line), found.end()


def _begins_element(token: Token, before: list[Token], text: str, after: int) -> bool:
    """Whether a token after white space inside brackets is the first of a new element."""
    if not before or not ends_operand(before[-1]):
        return False
    if token.kind != "symbol" or token.text in {"(", "[", "{"}:
        return True
    return token.text in {"+", "-"} and after < len(text) and text[after] not in " \t\n"


def _track(token: Token, open_brackets: list[str], where: str) -> None:
    if token.kind != "symbol":
        return
    if token.text in OPENING:
        open_brackets.append(token.text)
        if len(open_brackets) > MAX_DEPTH:
            raise bad_input(where, "brackets too deep", f"at most {MAX_DEPTH} levels", line=token.line)
    elif token.text in CLOSING:
        if not open_brackets or OPENING.index(open_brackets[-1]) != CLOSING.index(token.text):
            raise bad_input(where, f"{token.text!r} closes nothing", "matching brackets", line=token.line)
        open_brackets.pop()
