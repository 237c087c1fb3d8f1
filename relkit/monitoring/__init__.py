"""What is watched while a release serves: drift, cost, service levels, health, capacity."""
