"""What an agent changes in the world is found and put back, whichever way it goes about it."""

from functools import cached_property

import pytest

from elodrome.agents.parts.shared import WorldGuard


class Place:
    def __init__(self):
        self.a, self.b, self.c = 1, [2], 3

    @cached_property
    def derived(self):
        return self.a + 1


def renamed(place):
    place.other = place.__dict__.pop("c")


def exchanged(place):
    place.a, place.c = place.c, place.a


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda p: None, ""),
        (lambda p: p.derived, ""),
        (lambda p: setattr(p, "a", 5), "a"),
        (lambda p: setattr(p, "b", [2]), "b"),
        (lambda p: delattr(p, "b"), "b"),
        (lambda p: setattr(p, "d", 1), "d"),
        (renamed, "c, other"),
        (exchanged, "a, c"),
        (lambda p: p.derived and setattr(p, "a", 5), "a"),
    ],
)
@pytest.mark.parametrize("asked", [False, True])
def test_what_is_changed_is_named_and_put_back(asked, change, told):
    place = Place()
    guard, before = WorldGuard(place), dict(vars(place))
    if asked:
        assert place.derived == 2
        assert guard.altered() == ""
    change(place)
    assert guard.altered() == (told and f"altered the world: {told}")
    after = {name: value for name, value in vars(place).items() if name != "derived"}
    assert after == before
    assert all(after[name] is before[name] for name in before)
    assert guard.altered() == ""


def test_what_was_derived_once_stays():
    place = Place()
    guard = WorldGuard(place)
    assert place.derived == 2
    assert guard.altered() == ""
    place.derived = 7
    assert guard.altered() == "altered the world: derived"
    assert place.derived == 2
