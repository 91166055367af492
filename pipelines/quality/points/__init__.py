"""Rows as points: distances, neighbourhoods and spreads in a feature space, whatever the rows are."""
