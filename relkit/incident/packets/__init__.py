"""Packets of incidents as the team that had one makes them, and the state that they need."""
