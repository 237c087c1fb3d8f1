"""How the bundled dataset `datasets/assistant-safety` is made: attacks on a voice agent, spoken."""
