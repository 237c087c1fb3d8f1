"""Makes `datasets/assistant-talks`: conversations with a voice agent, spoken by bundled voices."""
