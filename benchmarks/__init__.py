"""Side by side with peers; run with ``make bench``, no part of the tests."""
