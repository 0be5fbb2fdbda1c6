"""The program from its first moment, so that an interrupt while it loads is told like one while it works."""

import sys

from flexpeer.interrupts import end_interrupted, undisturbed


def main() -> None:
    """Run the command line; nothing has been written before it is loaded."""
    try:
        with undisturbed():
            from flexpeer import cli  # noqa: PLC0415 - loading takes a second or two

        cli.main()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: nothing was written\n")
        end_interrupted()


if __name__ == "__main__":
    main()
