"""Which release to go back to, and how."""
