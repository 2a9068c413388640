"""Chapter 5: text policies."""
