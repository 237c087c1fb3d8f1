"""What is said how, a table per language; a further language is a table and its tests."""
