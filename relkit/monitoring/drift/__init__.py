"""Whether what comes in and goes out still looks like the reference it was frozen from."""
