"""Traffic that is made up: turns with a fault that is known, for rehearsals and tests."""
