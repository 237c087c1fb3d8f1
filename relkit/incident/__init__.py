"""What broke, since when, for whom: triage, the packet about it, and drills."""
