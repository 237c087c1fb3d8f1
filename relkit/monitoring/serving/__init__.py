"""How a service bears its load: health from live traffic, and capacity from load tests."""
