"""Ground floor: the rules of worlds, compiled, and what is derived from them."""
