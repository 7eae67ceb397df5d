"""A model is scored, searched with and given away with the tokenizer that it was trained with."""

import hashlib
import json
from pathlib import Path

import pytest

from assets.queries.models import check_tokenizer


def test_a_tokenizer_that_was_changed_since_training_is_refused(tmp_path: Path) -> None:
    model, trained_with = tmp_path / "model", b"as trained"
    model.mkdir()
    recipes = {"own": {"tokenizer": hashlib.sha256(trained_with).hexdigest()}, "clips": {}}
    rows = {
        name: {"recipe": json.dumps(recipe), "model": "tiny", "training_set": "20"} for name, recipe in recipes.items()
    }
    check_tokenizer(model, rows["clips"])
    (model / "tokenizer.json").write_bytes(trained_with)
    check_tokenizer(model, rows["own"])
    for change in ("changed", None):
        (model / "tokenizer.json").unlink()
        if change:
            (model / "tokenizer.json").write_text(change, "utf-8")
        with pytest.raises(ValueError, match=r"tokenizer\.json: not the tokenizer that tiny on 20 was trained with"):
            check_tokenizer(model, rows["own"])
