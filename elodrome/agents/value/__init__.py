"""Chapter 2: value functions approximated by networks."""
