"""Buildings: a row of the town, and houses with depth."""
