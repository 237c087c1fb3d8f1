"""``python -m benchmarks.disclosure_attacks [--populations N] [--replaced N] [--only ATTACK]``."""

import argparse

from benchmarks.disclosure_attacks.table import ATTACKS, rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="attacks on what packets show")
    parser.add_argument("--populations", type=int, default=100, help="of the present rules (100)")
    parser.add_argument("--replaced", type=int, default=40, help="of the replaced rules (40)")
    parser.add_argument("--only", nargs="+", choices=[attack.key for attack in ATTACKS])
    options = parser.parse_args()
    attacks = [attack for attack in ATTACKS if not options.only or attack.key in options.only]
    for row in rows(attacks, before=options.replaced, after=options.populations):
        print(row, flush=True)


if __name__ == "__main__":
    main()
