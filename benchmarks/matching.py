"""Print the matching benchmark: `python -m benchmarks.matching [ORDERS]`."""

import sys

from flexpeer.simulation.bench_matching import rows

if __name__ == "__main__":
    for row in rows(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000):
        sys.stdout.write(f"{row}\n")
