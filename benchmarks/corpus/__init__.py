"""How the bundled dataset `datasets/assistant-commands` is made from Debian's speech engines."""
