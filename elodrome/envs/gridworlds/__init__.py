"""Worlds on a map, for one player."""
