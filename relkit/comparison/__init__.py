"""Two runs of the same utterances, slice by slice."""
