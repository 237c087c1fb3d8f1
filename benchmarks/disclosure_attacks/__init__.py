"""Attacks on what packets show, before and after the rules of docs/privacy.md.

    python -m benchmarks.disclosure_attacks [--populations N] [--replaced N] [--only ATTACK …]

The attacker knows every rule, which values the columns can have and in which of them a person has
one, and gets what is shown. Each attack runs against the rule that the present one replaced, and
against the present one, over random populations of 50 to 5,000 people
(:mod:`benchmarks.disclosure_attacks.populations`); seeds are fixed.
"""
