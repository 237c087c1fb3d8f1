"""What serving costs: price tables, cost per call, audio minute and success, and what changed."""
