"""For auditors: a verifier in one file that needs no relkit. Nothing here is imported."""
