"""One outside system per module; each turns foreign errors into RelkitError."""
