"""Predicted and intrusive speech quality: DNSMOS, PLCMOS, PESQ and STOI."""

from relkit.adapters.mos.scorer import MosScorer
from relkit.adapters.mos.scoring import MosSystem

__all__ = ["MosScorer", "MosSystem"]
