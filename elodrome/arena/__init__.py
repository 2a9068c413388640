"""Third floor: where agents meet."""
