"""Service levels: error budgets and burn rates from counts of events."""
