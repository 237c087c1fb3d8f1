"""What a release needs on paper: model card, runbooks, launch review."""
