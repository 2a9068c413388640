"""pygame, imported in one place: without its greeting, and without the one warning of a package it uses."""

import os
import warnings

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    import pygame

__all__ = ["pygame"]
