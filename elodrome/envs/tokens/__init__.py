"""Token-generation MDPs (notes 5.2.1)."""
