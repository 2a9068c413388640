"""Chapter 4: game theory."""
