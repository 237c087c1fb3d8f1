"""What is signed: decisions, overrides and checks, and how others verify them."""
