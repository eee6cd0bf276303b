from __future__ import annotations

import pytest

from retail_spark.domains.supplier_risk.recipe import Recipe
from retail_spark.domains.supplier_risk.settings import JobSettings


def test_a_recipe_is_read_back_and_an_older_one_counts_from_the_last_promise() -> None:
    recipe = JobSettings().recipe()
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert recipe.promise == "first"
    older = {name: value for name, value in recipe.to_json().items() if name != "promise"}
    assert Recipe.from_json(older).promise == "last"
    with pytest.raises(ValueError, match="unknown unheard_of"):
        Recipe.from_json({**older, "unheard_of": 1})
