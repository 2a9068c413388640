"""Programs and agents that are not trusted: each in processes of its own, with bounds, and gone when we are."""
