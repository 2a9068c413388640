"""The textbook's equations as pure functions."""
