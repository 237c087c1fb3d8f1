"""Text against text: words, alignment, normalizers, TRN."""
