"""What counts as made alike."""

from __future__ import annotations

from labsys.core.release import Recipe, commonest_recipe


def test_recipes_cover_what_was_made_alike() -> None:
    plain = Recipe("1", 3, {"a": "1"})
    filmed = Recipe("1", 3, {"a": "1"}, {"pose2d.model": "x"})
    assert filmed.covers(plain)
    assert not plain.covers(filmed)
    assert plain.joined(filmed) == filmed == filmed.joined(plain)
    for other in (Recipe("2", 3, {"a": "1"}), Recipe("1", 4, {"a": "1"}), Recipe("1", 3, {"a": "2"})):
        assert not plain.covers(other)
        assert plain.joined(other) is None
    assert filmed.joined(Recipe("1", 3, {"a": "1"}, {"pose2d.model": "y"})) is None
    assert commonest_recipe([plain, Recipe("2", 3, {}), plain, filmed]) == filmed
    assert commonest_recipe([]) is None
