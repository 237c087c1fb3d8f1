"""Pure decisions and mathematics: no I/O, no clock, no outside system."""
