"""Keep what a run's config leaves out as it was when the partition was last made."""

import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar

import dagster as dg
from pydantic import SerializerFunctionWrapHandler, ValidationError, create_model, model_serializer, model_validator
from pydantic_core import to_jsonable_python

from resources.lake.resource import WHOLE, Lake

Config = TypeVar("Config", bound=dg.Config)

_CHOSEN = "chosen"


class Sparse(dg.Config):
    """A config that is kept and shown as what is given of it: a field that is null is left out."""

    @model_serializer(mode="wrap")
    def _list_given(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value is not None}


@dataclass(frozen=True)
class Choice(Generic[Config]):
    """The config that a partition is made with, and which of its fields somebody chose, now or before."""

    config: Config
    chosen: Mapping[str, Any]
    changed: tuple[str, ...]
    """In words, each field that was chosen before and is another now."""

    @property
    def facts(self) -> dict[str, str]:
        """For the partition's manifest, from which the next run takes what it is not given."""
        return {_CHOSEN: json.dumps(self.chosen, sort_keys=True)} if self.chosen else {}

    @property
    def metadata(self) -> dict[str, Any]:
        """Every field, which of them were chosen, and what was chosen before and no longer is."""
        changed = {"changed_choices": list(self.changed)} if self.changed else {}
        return {**self.config.model_dump(), "chosen": sorted(self.chosen), **changed}


class AsBefore(dg.Config, Generic[Config]):
    """`AsBefore[Filtering]` is that config with no field required: one that is not given, null, is as before.

    As before is what was last chosen for the partition; for one that was never made, what was chosen alike for every
    other one. Where nobody ever chose, it is the default of the config, which may be the deployment's and then follows
    it.
    """

    complete: ClassVar[type[dg.Config]]

    @classmethod
    def __class_getitem__(cls, complete: Any) -> Any:  # pydantic's own would keep the type variable
        return _optional(complete)

    @property
    def overrides(self) -> dict[str, Any]:
        """The fields that are not null."""
        return {name: value for name, value in self.model_dump().items() if value is not None}

    @model_validator(mode="after")
    def _check_given(self) -> "AsBefore[Config]":
        """Hold what is given to the validators of the whole config, of which a copy of its fields knows nothing."""
        self.complete(**self.overrides)
        return self

    def choose(
        self,
        context: dg.AssetExecutionContext,
        lake: Lake,
        table: str | None = None,
        among: Sequence[str] | None = None,
    ) -> Choice[Config]:
        """Fill in what is not given from the partition's manifest, and log what is no longer as it was chosen.

        `among` are the partitions whose choice a new one follows where they agree, by default all.

        Raises dg.Failure where a choice of before, which the config would refuse now, was not made anew.
        """
        table = table or context.asset_key.to_python_identifier()
        partition = context.partition_key if context.has_partition_key else WHOLE
        before, source = _read_chosen(lake, table, partition), "as before"
        if before is None:
            agreed, source = _find_agreed(context, lake, table, among), "never made; as all other partitions are"
            before = {name: value for name, value in agreed.items() if name not in self.overrides}
        chosen_before = {name: value for name, value in before.items() if name in self.complete.model_fields}
        chosen = {**chosen_before, **self.overrides}
        try:
            config = self.complete(**chosen)
        except ValidationError as error:
            message = f"{table}/{partition}: chosen before and refused now: {error}; give another value"
            raise dg.Failure(message, allow_retries=False) from None
        changed = tuple(
            f"{name} was {json.dumps(value)} and is {json.dumps(chosen[name])}"
            for name, value in chosen_before.items()
            if chosen[name] != value
        )
        for change in changed:
            context.log.warning(f"{table}/{partition}: {change}")
        if unchanged := {name: value for name, value in chosen_before.items() if name not in self.overrides}:
            context.log.info(f"{table}/{partition}: {source}: {json.dumps(unchanged, sort_keys=True)}")
        return Choice(config, chosen, changed)  # type: ignore[arg-type]  # `complete` is what Config stands for


def read_choice(lake: Lake, table: str, complete: type[Config]) -> Config:
    """The config of an unpartitioned table as it would be made now: what was chosen for it, and else the defaults."""
    chosen = _read_chosen(lake, table, WHOLE) or {}
    return complete(**{name: value for name, value in chosen.items() if name in complete.model_fields})


def _read_chosen(lake: Lake, table: str, partition: str) -> dict[str, Any] | None:
    """What was chosen when a partition was last made; None where it never was."""
    manifest = lake.store(table, partition).manifest()
    return json.loads(manifest.inputs.get(_CHOSEN, "{}")) if manifest else None


def _find_agreed(
    context: dg.AssetExecutionContext, lake: Lake, table: str, among: Sequence[str] | None
) -> dict[str, Any]:
    """What was chosen alike for every partition that is made; one that was taken out has no say."""
    definition = context.assets_def.partitions_def if context.has_partition_key else None
    keys = definition.get_partition_keys(dynamic_partitions_store=context.instance) if definition else []
    keys = keys if among is None else among
    first, *others = [it for key in keys if (it := _read_chosen(lake, table, str(key))) is not None] or [{}]
    return {name: value for name, value in first.items() if all(name in it and it[name] == value for it in others)}


@cache
def _optional(complete: type[dg.Config]) -> "type[AsBefore[Any]]":
    fields: dict[str, Any] = {}
    for name, declared in complete.model_fields.items():
        field, default = copy(declared), to_jsonable_python(declared.get_default(call_default_factory=True))
        at_first = "none" if default in ("", [], {}) else json.dumps(default)
        field.description = f"{declared.description or ''} Null is as before, and at first {at_first}.".strip()
        field.default, field.default_factory = None, None
        fields[name] = (declared.annotation | None, field)  # type: ignore[operator]  # of a field it is never None
    optional = create_model(complete.__name__, __base__=AsBefore, __doc__=complete.__doc__, **fields)
    optional.complete = complete
    return optional
