"""Chapter 2: dynamic programming and temporal differences on tables."""
