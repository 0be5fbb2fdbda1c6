"""Values of MATPOWER expressions: the small part of MATLAB's arithmetic that case files use.

Every number is a matrix (1 x 1 for one number), as in MATLAB; a text is `str`, a cell array of texts a
tuple. Whatever is not listed here is refused with its line: nothing is guessed and nothing is executed.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from flexpeer.adapters.gridfiles.matpower_syntax import Token
from flexpeer.errors import BadInput, bad_input
from flexpeer.grid.network import Floats

Value = Floats | str | tuple[str, ...]
Index = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
MAX_ELEMENTS = 50_000_000
"""What all expressions of a file may calculate together: 400 MB if a file kept all of it."""
CONSTANTS = {"pi": math.pi, "Inf": math.inf, "inf": math.inf, "NaN": math.nan, "nan": math.nan}
FLAGS = {"true": 1.0, "false": 0.0}
ELEMENTWISE: Mapping[str, Callable[[Floats], Floats]] = {
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
}
FUNCTIONS = frozenset((*ELEMENTWISE, "size", "zeros", "ones", "sum"))
ACCEPTED = (
    "numbers, matrices, columns by name such as mpc.bus(:, PD), + - * / ^ .* ./ .^ ' "
    f"and the functions {', '.join(sorted(FUNCTIONS))}"
)


def matrix(value: float) -> Floats:
    """One number as a 1 x 1 matrix."""
    return np.array([[value]], dtype=np.float64)


@dataclass
class Allowance:
    """How many more elements the expressions of a file may calculate; said before they are."""

    elements: int = MAX_ELEMENTS

    def take(self, elements: float) -> bool:
        """Whether that many are allowed still; they are taken from it."""
        allowed = elements <= self.elements
        if allowed:
            self.elements -= int(elements)
        return allowed


@dataclass
class Expression:
    """A cursor over the tokens of one expression, evaluated as it is read (recursive descent).

    `names` are the variables so far, dotted fields by their whole path; a name in `spoiled` was the target
    of a statement already refused, so that nothing more is said about it. `row_lines` has the line of each row of the
    last matrix in brackets.
    """

    tokens: Sequence[Token]
    names: Mapping[str, Value]
    spoiled: frozenset[str]
    where: str
    line: int
    allowance: Allowance
    position: int = 0
    row_lines: list[int] = field(default_factory=list)

    def whole(self) -> Value:
        """The value of all tokens."""
        value = self.value()
        if self.position < len(self.tokens):
            raise self.refusal(f"{self.tokens[self.position].text!r} after the expression")
        return value

    def value(self) -> Value:
        """A range `a:b`, `a:step:b`, or a sum."""
        first = self._sum()
        if not self._takes(":"):
            return first
        second = self._sum()
        third = self._sum() if self._takes(":") else None
        start, step = self._number(first), 1.0 if third is None else self._number(second)
        end = self._number(second if third is None else third)
        if step == 0 or not all(map(math.isfinite, (start, step, end))) or abs((end - start) / step) > MAX_ELEMENTS:
            raise self.refusal("a range without end")
        count = max(0, math.floor((end - start) / step + 1e-10) + 1)
        self.spend(count)
        return (start + step * np.arange(count, dtype=np.float64)).reshape(1, -1)

    def indices(self, shape: tuple[int, int]) -> tuple[Index, ...]:
        """What stands in parentheses after a matrix of this shape: one or two lists of positions from 0."""
        found: list[Floats | None] = []
        while not found or self._takes(","):
            alone = self._peek() == ":" and self._peek(1) in {",", ")"}
            self.position += alone
            found.append(None if alone else self._matrix(self.value()))
        self.needs(")")
        if len(found) > 2:
            raise self.refusal(f"{len(found)} indices")
        sizes = shape if len(found) == 2 else (shape[0] * shape[1],)
        return tuple(self._positions(index, size) for index, size in zip(found, sizes, strict=True))

    def needs(self, symbol: str) -> None:
        """Go past a symbol that must be here."""
        if not self._takes(symbol):
            raise self.refusal(f"no {symbol!r}" + (f" before {self._peek()!r}" if self._peek() else ""))

    def spend(self, elements: float) -> None:
        """Refuse what would be too large before it is calculated."""
        if not self.allowance.take(elements):
            raise self.refusal(f"{elements:,.0f} numbers to calculate, more than the {MAX_ELEMENTS:,} of a file")

    def refusal(self, problem: str) -> BadInput:
        """What is wrong at the cursor, with its line."""
        at = self.tokens[min(self.position, len(self.tokens) - 1)].line if self.tokens else self.line
        return bad_input(self.where, problem, ACCEPTED, line=at)

    def _peek(self, ahead: int = 0) -> str:
        place = self.position + ahead
        token = self.tokens[place] if place < len(self.tokens) else None
        return token.text if token and token.kind == "symbol" else ""

    def _takes(self, *symbols: str) -> str:
        found = self._peek()
        if found in symbols and found:
            self.position += 1
            return found
        return ""

    def _sum(self) -> Value:
        total = self._product()
        while symbol := self._takes("+", "-"):
            other = self._matrix(self._product())
            total = self._elementwise(symbol, self._matrix(total), other)
        return total

    def _product(self) -> Value:
        product = self._signed()
        while symbol := self._takes("*", "/", ".*", "./"):
            other, mine = self._matrix(self._signed()), self._matrix(product)
            scalar = other.size == 1 or (symbol == "*" and mine.size == 1)
            if symbol in {"*", "/"} and not scalar:
                raise self.refusal(f"{symbol!r} between matrices")
            product = self._elementwise(symbol[-1], mine, other)
        return product

    def _signed(self) -> Value:
        negative, signed = False, False
        while sign := self._takes("+", "-"):
            negative, signed = negative ^ (sign == "-"), True
        value = self._power()
        if not signed:
            return value
        self.spend(self._matrix(value).size)
        return -self._matrix(value) if negative else self._matrix(value)

    def _power(self) -> Value:
        base = self._operand()
        while symbol := self._takes("^", ".^"):
            negative = False
            while sign := self._takes("+", "-"):
                negative ^= sign == "-"
            exponent = self._matrix(self._operand())
            mine = self._matrix(base)
            if symbol == "^" and (mine.size != 1 or exponent.size != 1):
                raise self.refusal("'^' of a matrix")
            base = self._elementwise("^", mine, -exponent if negative else exponent)
        return base

    def _operand(self) -> Value:
        value = self._primary()
        while self._takes("'", ".'"):
            self.spend(self._matrix(value).size)
            value = np.ascontiguousarray(self._matrix(value).T)
        return value

    def _primary(self) -> Value:
        if self.position >= len(self.tokens):
            raise self.refusal("the statement ends early")
        token = self.tokens[self.position]
        self.position += 1
        if token.kind == "number":
            return matrix(float(token.text.replace("d", "e").replace("D", "e")))
        if token.kind == "string":
            return token.text
        if token.kind == "name":
            return self._named(token.text)
        if token.text == "(":
            value = self.value()
            self.needs(")")
            return value
        if token.text == "[":
            return self._rows()
        if token.text == "{":
            return self._cell()
        self.position -= 1
        raise self.refusal(f"{token.text!r}")

    def _named(self, name: str) -> Value:
        if name in self.spoiled:
            raise BadInput(())
        if name in self.names:
            value = self.names[name]
            if not self._takes("("):
                return value
            return self._selected(self._matrix(value))
        if name in CONSTANTS or name in FLAGS:
            return matrix((CONSTANTS | FLAGS)[name])
        if name in FUNCTIONS and self._takes("("):
            return self._call(name)
        self.position -= 1
        raise self.refusal(f"unknown {'function' if self._peek(1) == '(' else 'name'} {name!r}")

    def _selected(self, values: Floats) -> Floats:
        positions = self.indices((values.shape[0], values.shape[1]))
        self.spend(math.prod(map(len, positions)))
        if len(positions) == 2:
            return values[np.ix_(*positions)]
        chosen = values.ravel(order="F")[positions[0]]
        return chosen.reshape(1, -1) if values.shape[0] == 1 else chosen.reshape(-1, 1)

    def _call(self, name: str) -> Value:
        start = self.position - 2
        arguments = [self._matrix(self.value())]
        while self._takes(","):
            arguments.append(self._matrix(self.value()))
        self.needs(")")
        self.spend(arguments[0].size)
        if name in ELEMENTWISE and len(arguments) == 1:
            with np.errstate(all="ignore"):
                return self._real(ELEMENTWISE[name](arguments[0]), *arguments)
        if name == "sum" and len(arguments) == 1:
            return np.asarray(arguments[0].sum(axis=1 if arguments[0].shape[0] == 1 else 0)).reshape(1, -1)
        if name == "size" and len(arguments) == 2 and self._number(arguments[1]) in {1.0, 2.0}:
            return matrix(float(arguments[0].shape[int(self._number(arguments[1])) - 1]))
        if name in {"zeros", "ones"} and len(arguments) == 2:
            sizes = [self._number(argument) for argument in arguments]
            if all(size >= 0 and float(size).is_integer() for size in sizes):
                self.spend(math.prod(sizes))
                return np.full((int(sizes[0]), int(sizes[1])), float(name == "ones"))
        self.position = start
        raise self.refusal(f"{name}(...)")

    def _rows(self) -> Value:
        """A matrix in brackets, after its `[`; texts side by side are not joined."""
        rows: list[Floats] = []
        lines: list[int] = []
        while not self._takes("]"):
            while self._takes(";"):
                pass
            first = self.tokens[self.position].line if self.position < len(self.tokens) else self.line
            row = self._row()
            if row is None:
                continue
            if rows and row.shape[1] != rows[0].shape[1]:
                raise self._uneven(row.shape[1], rows[0].shape[1], first)
            rows.append(row)
            lines += [first] * row.shape[0]
        self.row_lines = lines
        self.spend(sum(row.size for row in rows))
        return np.concatenate(rows) if rows else np.zeros((0, 0))

    def _uneven(self, count: int, before: int, line: int) -> BadInput:
        return bad_input(self.where, f"a row of {count} numbers", f"{before} as in the rows before", line=line)

    def _row(self) -> Floats | None:
        parts: list[Floats] = []
        while self._peek() not in {";", "]"}:
            parts.append(self._matrix(self.value()))
            if not self._takes(","):
                break
        if self._peek() not in {";", "]"}:
            raise self.refusal("a matrix that does not go on with a number")
        parts = [part for part in parts if part.size]
        if any(part.shape[0] != parts[0].shape[0] for part in parts):
            raise self.refusal("matrices of unequal height side by side")
        return np.concatenate(parts, axis=1) if parts else None

    def _cell(self) -> tuple[str, ...]:
        texts: list[str] = []
        while not self._takes("}"):
            if self._takes(";", ","):
                continue
            value = self.value()
            texts += [value] if isinstance(value, str) else [f"{number:g}" for number in self._matrix(value).ravel()]
        return tuple(texts)

    def _elementwise(self, symbol: str, one: Floats, other: Floats) -> Floats:
        try:
            self.spend(math.prod(np.broadcast_shapes(one.shape, other.shape)))
        except ValueError as unequal:
            raise self.refusal(f"matrices of {one.shape} and {other.shape} elements") from unequal
        with np.errstate(all="ignore"):
            if symbol in "+-":
                return one + other if symbol == "+" else one - other
            if symbol in "*/":
                return one * other if symbol == "*" else one / other
            return self._real(np.power(one, other), one, other)

    def _real(self, result: Floats, *arguments: Floats) -> Floats:
        """A result that is real in MATLAB too."""
        if np.isnan(result).any() and not any(np.isnan(argument).any() for argument in arguments):
            raise self.refusal("a result that is not a real number")
        return result

    def _matrix(self, value: Value) -> Floats:
        if isinstance(value, np.ndarray):
            return value
        raise self.refusal("a text where a number belongs")

    def _number(self, value: Value) -> float:
        found = self._matrix(value)
        if found.size != 1:
            raise self.refusal(f"{found.size} numbers where one belongs")
        return float(found[0, 0])

    def _positions(self, index: Floats | None, size: int) -> Index:
        if index is None:
            self.spend(size)
            return np.arange(size, dtype=np.int64)
        self.spend(index.size)
        flat = index.ravel(order="F")
        outside = flat[~((flat >= 1) & (flat <= size) & (flat == np.floor(flat)))]
        if outside.size:
            raise self.refusal(f"index {outside[0]:g} of {size}")
        return np.asarray(flat.astype(np.int64) - 1)
