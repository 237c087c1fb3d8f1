"""relkit: evaluation and release decisions for served speech assistants."""

__version__ = "0.1.0"
