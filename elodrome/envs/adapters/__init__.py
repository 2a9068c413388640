"""Bridges to and from Gymnasium, PettingZoo and OpenSpiel."""
