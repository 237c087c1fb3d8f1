"""Datasets: manifests, versions, consent, and importers of foreign layouts."""
