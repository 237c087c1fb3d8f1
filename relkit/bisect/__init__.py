"""The first bad release, or the set that cannot be told apart."""
