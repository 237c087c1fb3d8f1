"""What may leave the team: thresholds, bands, grids, pooling, names, and the audit of it all."""
