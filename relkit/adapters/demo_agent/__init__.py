"""A small voice agent that is real: it hears by models, answers by rules and speaks by espeak-ng.

relkit measures it through the same protocol as any other agent; nothing else imports it.
"""
