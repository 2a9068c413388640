"""Board games of perfect information for two."""
