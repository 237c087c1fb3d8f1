"""Predicted and intrusive speech quality: DNSMOS, PLCMOS, PESQ and STOI."""
