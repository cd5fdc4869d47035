"""`python -m tests.chaos [SCENARIO ...]`: break everything at full length, or `--short`, and print what came of it."""

import sys

if __name__ == "__main__":
    from tests.chaos.command import main  # here: every process that this one starts imports this module first

    sys.exit(main())
