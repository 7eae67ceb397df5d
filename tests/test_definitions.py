"""What Dagster is told: the graph as committed, every field of a run described, nothing that the deployment decides."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_dg_core.context import DgContext

from assets.defaults import COMPARED
from assets.jobs import RecipeChanges
from assets.keys import CELLS
from assets.partitions import cells
from definitions import bind
from metaclip_dagster.training.recipes import Recipe
from resources.deployments import REPOSITORY, read_deployment
from tests.graph import SNAPSHOT, describe_graph


def test_the_graph_is_as_committed() -> None:
    graph = describe_graph(bind(read_deployment({})))
    assert graph == SNAPSHOT.read_text(encoding="utf-8"), "if that is meant: .venv/bin/python -m tests.graph"


@pytest.mark.parametrize(
    ("resource", "changed"),
    [
        ("compute", {"retries": 7}),
        ("common_crawl", {"connections": 2}),
        ("sources", {"piece_bytes": 1 << 20}),
        ("image_store", {"connections": 3}),
        ("trainer", {"ranks": 8}),
        ("zero_shot", {"device": "cuda"}),
    ],
)
def test_config_of_one_field_leaves_the_others(resource: str, changed: dict[str, Any]) -> None:
    job = bind(read_deployment({"METACLIP_CONTACT": "you@example.org"})).resolve_implicit_global_asset_job_def()

    def configure(config: dict[str, Any]) -> dict[str, Any]:
        resolved = dg.validate_run_config(job, {"resources": {resource: {"config": config}}} if config else {})
        return dict(resolved["resources"][resource]["config"])

    assert configure(changed) == configure({}) | changed != configure({})


def test_every_field_of_the_launchpad_is_described_and_typed_and_none_defaults_to_a_path_of_the_machine() -> None:
    definitions = bind(read_deployment({"METACLIP_CONTACT": "you@example.org"}))
    jobs = (definitions.resolve_implicit_global_asset_job_def(), definitions.resolve_job_def("explain"))
    fields = [field for job in jobs for field in _fields(job)]
    names = {name for name, *_ in fields}
    assert {"ops.pairs.share", "ops.training_sets.filters.*.at_least", "ops.checkpoints.recipe.lr"} <= names
    assert {"ops.ask.pair", "resources.compute.engine.ray.address", "resources.trainer.launcher"} <= names
    assert [name for name, described, *_ in fields if not described] == []
    unsaid = [name for name, described, _, default in fields if default == "null" and "at first" not in described]
    of_recipes, of_limits = "ops.checkpoints.recipe.", "ops.training_sets.filters."  # as the model has it; no limit
    assert [name for name in unsaid if not name.startswith((of_recipes, of_limits, "resources."))] == []
    assert [name for name, _, kind, _ in fields if "Any" in kind or "Permissive" in kind] == []
    assert [name for name, *_, default in fields if '"/' in default or "://" in default] == []
    decided = {name.rsplit(".", 1)[-1] for name in names} & {"root", "path", "contact", "num_buckets", "pools_file"}
    assert decided <= {"num_buckets"}  # of the exchange and of n-grams, not of the image store
    assert "resources.image_store.num_buckets" not in names


def test_what_a_launchpad_changes_of_a_recipe_are_the_recipes_own_fields() -> None:
    assert RecipeChanges.model_fields.keys() == Recipe.__dataclass_fields__.keys()


def _fields(job: dg.JobDefinition) -> Iterator[tuple[str, str, str, str]]:
    """Name, description, type and default as JSON of every field of the job's ops and resources that is ours."""
    snapshot = job.get_job_snapshot()
    types = snapshot.config_schema_snapshot
    root_key = snapshot.mode_def_snaps[0].root_config_key
    assert root_key is not None
    root = types.get_config_snap(root_key)

    def inside(key: str, name: str) -> Iterator[tuple[str, str, str, str]]:
        kind = types.get_config_snap(key)
        if kind.kind.name == "SCALAR_UNION":  # a number, or the environment variable that holds it
            return
        for field in kind.fields or []:
            at = f"{name}.{field.name}"
            yield at, field.description or "", field.type_key, field.default_value_as_json_str or ""
            yield from inside(field.type_key, at)
        if not kind.fields:  # what a list, a map or an optional type is made of
            for inner in kind.type_param_keys or []:
                yield from inside(inner, f"{name}.*" if kind.kind.name == "MAP" else name)

    for part in ("ops", "resources"):
        for owner in types.get_config_snap(root.get_field(part).type_key).fields or []:
            fields = types.get_config_snap(owner.type_key)
            if "config" in fields.field_names:
                yield from inside(fields.get_field("config").type_key, f"{part}.{owner.name}")


def test_dg_finds_the_folder_of_definitions_that_pyproject_names() -> None:
    context = DgContext.for_project_environment(REPOSITORY, {})
    assert context.has_defs_path, context.defs_module_name
    assert context.code_location_target_module_name == "definitions"


def test_two_deployments_in_one_process_have_their_own_lakes_and_one_with_other_rungs_is_refused(
    tmp_path: Path,
) -> None:
    where = read_deployment({})
    roots = []
    for home in (tmp_path / "a", tmp_path / "b"):
        with dg.build_resources(
            {"lake": (bind(replace(where, home=home, workers=3)).resources or {})["lake"]}
        ) as bound:
            roots.append(bound.lake.root)
    assert roots == [str(tmp_path / "a" / "lake"), str(tmp_path / "b" / "lake")]
    others: list[dict[str, Any]] = [
        {"thresholds": ("50", "inf")}, {"languages": ("de",)}, {"models": ("ViT-B-32",)}, {"budget": 7}
    ]  # fmt: skip
    for changes in others:
        with pytest.raises(ValueError, match=f"has other {next(iter(changes))} than this process"):
            bind(replace(where, **changes))


def test_whatever_the_graph_takes_from_the_deployment_at_import_is_compared_when_it_is_bound() -> None:
    uses = {
        name
        for path in (REPOSITORY / "assets").rglob("*.py")
        for name in re.findall(r"DEFAULTS\.(\w+)", path.read_text(encoding="utf-8"))
    }
    follows_from_languages, compared_apart = "reference_language", "models"
    assert uses - {follows_from_languages, compared_apart} <= {*COMPARED}


def test_partitions_are_the_keys_that_queries_know() -> None:
    assert cells.get_partition_keys() == list(CELLS)
