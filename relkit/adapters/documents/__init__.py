"""Documents: templates by Jinja2 (``sandbox``), what they print (``text``), and pages (``pages``).

A template is text that people of a team wrote, and values are what anybody said, so neither is
trusted: a template reads what it was handed and prints it, and what it prints stays text.
"""
