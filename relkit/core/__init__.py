"""What every package builds on: errors, values, slices, metrics, the codec, wording, storage."""
