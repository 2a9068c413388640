"""How strong is an agent? Yardsticks that do not move: exact solutions, other programs, fixed opponents.

Each file is one yardstick: ``fits(world)`` says where it holds, ``measure(world, agent, ...)`` uses it.
"""
