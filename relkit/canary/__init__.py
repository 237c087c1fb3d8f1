"""Live traffic of a canary beside its control: advance, hold or roll back."""
