"""`python -m tests.fuzz TARGET --seconds N`: changed inputs to a reader; exit 1 if any made it fail, hang or grow."""

import argparse
import sys
from pathlib import Path

from tests.fuzz.fuzzing import for_seconds, fuzz
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Print the seed first, and in the end what was found and where its input is."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=list(TARGETS))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same inputs in the same order")
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    parser.add_argument("--inputs", type=int, help="this many, whatever time they take")
    parser.add_argument("--keep", type=Path, default=Path("out/fuzz"), help="where failing inputs go")
    asked = parser.parse_args()
    print(f"{asked.target}: seed {asked.seed}, from input {asked.first}", flush=True)
    more = for_seconds(asked.seconds) if asked.inputs is None else lambda inputs: inputs < asked.inputs
    found = fuzz(asked.target, asked.seed, asked.first, more, asked.keep)
    counts = ", ".join(f"{count} {what}" for what, count in sorted(found.counts.items()))
    print(f"{asked.target}: {found.inputs} inputs, {counts}")
    for failure, number in found.failures.items():
        print(f"  {asked.keep}/{asked.target}-{asked.seed}-{number}: {failure}")
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
