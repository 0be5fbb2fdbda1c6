"""Running the statements of a MATPOWER case file: what is left is its tables.

Accepted: assignments of expressions (`flexpeer.adapters.gridfiles.matpower_values`) to variables, fields and
columns; `define_constants` and the `idx_` functions; `if` on a number. Everything else is an error with its
line.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from flexpeer.adapters.gridfiles.matpower_columns import INDEX_FUNCTIONS
from flexpeer.adapters.gridfiles.matpower_syntax import Literal, Statement, Token, statements
from flexpeer.adapters.gridfiles.matpower_values import Allowance, Expression, Value, matrix
from flexpeer.errors import BadInput, Finding, bad_input
from flexpeer.grid.network import Floats

ACCEPTED = "an assignment, define_constants, [..] = idx_bus, idx_gen or idx_brch, or if .. else .. end"


@dataclass(frozen=True)
class CaseMatrix:
    """A matrix of the case with the line of each of its rows."""

    values: Floats
    lines: tuple[int, ...]


@dataclass
class Case:
    """The variables of a case while its statements run; `outputs` are those its function line returns.

    `branches_taken` has one entry per open `if`: whether its statements run now, and whether a later part may.
    """

    where: str
    values: dict[str, Value] = field(default_factory=dict)
    lines: dict[str, tuple[int, ...]] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    spoiled: set[str] = field(default_factory=set)
    errors: list[Finding] = field(default_factory=list)
    branches_taken: list[tuple[bool, bool]] = field(default_factory=list)
    allowance: Allowance = field(default_factory=Allowance)

    def field(self, name: str) -> Value | None:
        """A field of the returned struct, or in version 1 the returned variable."""
        return self.values.get(self.path(name))

    def path(self, name: str) -> str:
        """The variable that holds a field of the case."""
        if len(self.outputs) == 1:
            return f"{self.outputs[0]}.{name}"
        return name if self.outputs or "mpc.bus" not in self.values else f"mpc.{name}"

    def table(self, name: str) -> CaseMatrix | None:
        """A field that is a matrix."""
        values = self.field(name)
        if not isinstance(values, np.ndarray):
            return None
        return CaseMatrix(values, self.lines.get(self.path(name), (0,) * values.shape[0]))

    def fields(self) -> tuple[str, ...]:
        """The names of all fields of the returned struct."""
        prefix = self.path("")
        return tuple(name.removeprefix(prefix) for name in self.values if prefix and name.startswith(prefix))


def run_case(text: str, where: str) -> Case:
    """The case after all its statements; `errors` has what could not be run."""
    case = Case(where)
    for statement in statements(text, where):
        try:
            if isinstance(statement, BadInput):
                raise statement
            if isinstance(statement, Literal):
                _literal(case, statement)
            elif _is_next_function(case, statement):
                break
            else:
                _statement(case, statement)
        except BadInput as error:
            case.errors.extend(error.findings)
            if isinstance(statement, Statement):
                _spoil(case, statement)
    return case


def _literal(case: Case, literal: Literal) -> None:
    if _runs(case):
        shape = (len(literal.rows), len(literal.rows[0]) if literal.rows else 0)
        case.values[literal.target] = np.array(literal.rows, dtype=np.float64).reshape(shape)
        case.lines[literal.target] = literal.row_lines


def _runs(case: Case) -> bool:
    return all(taken for taken, _ in case.branches_taken)


def _is_next_function(case: Case, statement: Statement) -> bool:
    return statement.tokens[0].text == "function" and bool(case.values)


def _statement(case: Case, statement: Statement) -> None:
    first, tokens = statement.tokens[0].text, statement.tokens
    if first in {"if", "elseif", "else", "end"}:
        _conditional(case, statement)
    elif not _runs(case):
        return
    elif first == "function":
        named = [token.text for token in tokens[1:] if token.kind == "name"]
        case.outputs = tuple(named[:-1]) if any(token.text == "=" for token in tokens) else ()
    elif first == "define_constants" and len(tokens) == 1:
        for columns in INDEX_FUNCTIONS.values():
            case.values.update({name: matrix(number) for name, number in columns.items()})
    elif any(token.kind == "symbol" and token.text == "=" for token in tokens):
        _assignment(case, statement)
    elif first not in {"return", "endfunction"} or len(tokens) > 1:
        shown = " ".join(token.text for token in tokens[:6])
        raise bad_input(case.where, f"statement {shown!r}", ACCEPTED, line=statement.line)


def _conditional(case: Case, statement: Statement) -> None:
    word = statement.tokens[0].text
    if word == "if":
        runs = _runs(case) and _condition(case, statement)
        case.branches_taken.append((runs, not runs))
        return
    if not case.branches_taken:
        if word == "end":
            return
        raise bad_input(case.where, f"{word!r} without if", ACCEPTED, line=statement.line)
    _, open_still = case.branches_taken.pop()
    if word == "else":
        case.branches_taken.append((open_still, False))
    elif word == "elseif":
        runs = open_still and _runs(case) and _condition(case, statement)
        case.branches_taken.append((runs, open_still and not runs))


def _condition(case: Case, statement: Statement) -> bool:
    value = _expression(case, statement.tokens[1:], statement.line).whole()
    if not isinstance(value, np.ndarray) or value.size != 1:
        raise bad_input(case.where, "a condition that is not a number", ACCEPTED, line=statement.line)
    return bool(value[0, 0])


def _assignment(case: Case, statement: Statement) -> None:
    tokens = statement.tokens
    equals = next(place for place, token in enumerate(tokens) if (token.kind, token.text) == ("symbol", "="))
    left, right = tokens[:equals], tokens[equals + 1 :]
    if left and left[0].text == "[":
        _index_names(case, left, right, statement.line)
        return
    if not left or left[0].kind != "name" or (len(left) > 1 and left[1].text != "("):
        raise bad_input(case.where, "what is assigned to is not a variable", ACCEPTED, line=statement.line)
    expression = _expression(case, right, statement.line)
    value = expression.whole()
    name = left[0].text
    if len(left) > 1:
        _set_elements(case, left, value, statement.line)
        return
    case.values[name] = value
    if isinstance(value, np.ndarray):
        literal = len(expression.row_lines) == value.shape[0] and right[0].text == "["
        case.lines[name] = tuple(expression.row_lines) if literal else (statement.line,) * value.shape[0]


def _expression(case: Case, tokens: Sequence[Token], line: int) -> Expression:
    return Expression(tokens, case.values, frozenset(case.spoiled), case.where, line, case.allowance)


def _index_names(case: Case, left: Sequence[Token], right: Sequence[Token], line: int) -> None:
    """`[PQ, PV, ...] = idx_bus`: the names take the numbers in order, whatever they are called."""
    function = right[0].text if len(right) == 1 else ""
    if function not in INDEX_FUNCTIONS:
        raise bad_input(case.where, "several results", ACCEPTED, line=line)
    names = [token.text for token in left if token.kind == "name" or token.text == "~"]
    numbers = list(INDEX_FUNCTIONS[function].values())
    if len(names) > len(numbers):
        raise bad_input(case.where, f"{len(names)} results of {function}", f"at most {len(numbers)}", line=line)
    case.values.update({name: matrix(number) for name, number in zip(names, numbers, strict=False) if name != "~"})


def _set_elements(case: Case, left: Sequence[Token], value: Value, line: int) -> None:
    name = left[0].text
    if name in case.spoiled:
        raise BadInput(())
    held = case.values.get(name)
    target = _expression(case, left[2:], line)
    if not isinstance(held, np.ndarray) or not isinstance(value, np.ndarray):
        raise target.refusal(f"elements of {name!r}, which is not a matrix of numbers")
    positions = target.indices((held.shape[0], held.shape[1]))
    if target.position < len(target.tokens):
        raise target.refusal("more after the index")
    target.spend(held.size)
    changed = held.copy()
    if len(positions) == 2:
        chosen = np.ix_(*positions)
        if value.size != 1 and value.shape != (len(positions[0]), len(positions[1])):
            raise target.refusal(f"{value.shape} elements for {len(positions[0])} x {len(positions[1])}")
        changed[chosen] = value
    else:
        rows, columns = np.unravel_index(positions[0], held.shape, order="F")
        if value.size not in {1, len(rows)}:
            raise target.refusal(f"{value.size} elements for {len(rows)}")
        changed[rows, columns] = value.ravel(order="F")
    case.values[name] = changed


def _spoil(case: Case, statement: Statement) -> None:
    """Say nothing more about what a refused statement would have set."""
    places = [place for place, token in enumerate(statement.tokens) if token.text == "="]
    names = [token.text for token in statement.tokens[: places[0]] if token.kind == "name"] if places else []
    case.spoiled.update(names if statement.tokens[0].text == "[" else names[:1])
