"""Runs and decisions as HTML, Markdown, JUnit and GitHub summaries."""
