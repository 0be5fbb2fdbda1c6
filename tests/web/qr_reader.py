"""A reader of the one kind of QR code that the pages draw (version 6, level L), by ISO/IEC 18004, not by the drawing.

What a reader needs not, it does not look at; every check word counts.
"""

import re

SIZE, ALIGNMENT, BLOCKS, WORDS, DATA = 41, 34, 2, 86, 68
LEVEL_L_MASK_0 = "111011111000100"


def read(path: str) -> str:
    """The text of a code whose dark modules are the squares of an SVG path."""
    dark = {(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", path)}
    around = [(8, y) for y in (0, 1, 2, 3, 4, 5, 7, 8)] + [(x, 8) for x in (7, 5, 4, 3, 2, 1, 0)]
    assert "".join("1" if at in dark else "0" for at in reversed(around)) == LEVEL_L_MASK_0
    bits = "".join(str(int(((x, y) in dark) != ((x + y) % 2 == 0))) for x, y in _places() if not _fixed(x, y))
    words = [int(bits[at : at + 8], 2) for at in range(0, BLOCKS * WORDS * 8, 8)]
    blocks = [words[n : BLOCKS * DATA : BLOCKS] + words[BLOCKS * DATA + n :: BLOCKS] for n in range(BLOCKS)]
    assert not any(_value(block, _power(n)) for block in blocks for n in range(WORDS - DATA))
    told = "".join(f"{word:08b}" for block in blocks for word in block[:DATA])
    assert told[:4] == "0100", "bytes"
    return bytes(int(told[12 + 8 * n : 20 + 8 * n], 2) for n in range(int(told[4:12], 2))).decode()


def _places() -> list[tuple[int, int]]:
    """Modules two columns at a time from the right, upwards first; the column of the timing pattern is left out."""
    pairs = [(x, x - 1) for x in range(SIZE - 1, 6, -2)] + [(x, x - 1) for x in range(5, 0, -2)]
    down = range(SIZE)
    return [(x, y) for n, pair in enumerate(pairs) for y in (down if n % 2 else reversed(down)) for x in pair]


def _fixed(x: int, y: int) -> bool:
    corner = (x < 9 and y < 9) or (x < 9 and y > SIZE - 9) or (x > SIZE - 9 and y < 9)
    return corner or 6 in (x, y) or max(abs(x - ALIGNMENT), abs(y - ALIGNMENT)) <= 2


def _value(block: list[int], at: int) -> int:
    """A block's polynomial at a point of GF(256): 0 at the roots of what it was made with."""
    value = 0
    for word in block:
        value = _times(value, at) ^ word
    return value


def _power(n: int) -> int:
    return 1 if n == 0 else _times(_power(n - 1), 2)


def _times(a: int, b: int) -> int:
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = (a << 1) ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return product
