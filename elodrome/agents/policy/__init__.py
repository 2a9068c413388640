"""Chapter 3: policy gradients."""
