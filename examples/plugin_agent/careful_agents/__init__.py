"""Agents for Elodrome, as a package of their own."""
