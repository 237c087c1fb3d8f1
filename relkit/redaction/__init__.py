"""Personal data in text, spoken or written: rules and tables, no model; names are not covered."""
