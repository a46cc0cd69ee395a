"""Trees, shrubs, hedges and grass."""
