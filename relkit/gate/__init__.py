"""Policies, and the decision whether a candidate may be promoted."""
