"""Chapter 4: planning and search."""
