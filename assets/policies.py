"""Choose by a policy which opt-outs and licences leave pairs out of the pool; an empty one changes nothing."""

from collections.abc import Mapping

import dagster as dg
from pydantic import field_validator

from assets.pool import Exchange, record_matches
from assets.takedowns import Excluded, drop_excluded, list_excluded
from metaclip_dagster.opting_out import find_opted_out
from metaclip_dagster.opting_out.policies import OF_PAIRS
from resources.deferred import Deferred, defer
from resources.engines.resource import Compute
from resources.lake.resource import Lake
from resources.lake.shard_files import chain_batches

ROBOTS = "robots.txt of"
"""In the manifest of OPT_OUT_SIGNALS: which ROBOTS_TXT it is made of."""
NOT_READ = "not read"
AGENTS = "agents of robots.txt"
"""In the same manifest: on whose behalf robots.txt was asked, with commas between."""
ARCHIVES_READ = "archives of robots.txt"
"""Beside it, where not all archives were read: how many."""
NO_ARCHIVES = "none"

_OF_HOSTS = ("robots_txt_", "tdmrep_", "content_usage_robots_")
"""How signals begin that stand in ROBOTS_TXT."""


class Policy(Exchange, use_attribute_docstrings=True):
    """Which pairs the pool leaves out beside copies and takedowns, and how copies are brought together.

    What is not given is as it was last chosen. Which opt-out is law where, and for whom, is yours to decide.
    """

    opt_outs: list[str] = []
    """Signals of OPT_OUT_SIGNALS that leave a pair out; of several the first in this order is its reason."""
    licenses: list[str] = []
    """Patterns such as `CC-BY*`, in any case: a pair whose licence is unknown, or fits none, is left out."""

    @field_validator("opt_outs")
    @classmethod
    def _check_signals(cls, opt_outs: list[str]) -> list[str]:
        if unknown := [name for name in opt_outs if name not in OF_PAIRS]:
            raise ValueError(f"{', '.join(unknown)}: no signal of pairs; there are {', '.join(OF_PAIRS)}")
        return list(dict.fromkeys(opt_outs))

    @field_validator("licenses")
    @classmethod
    def _check_licenses(cls, licenses: list[str]) -> list[str]:
        if not all(pattern.strip() for pattern in licenses):
            raise ValueError("a pattern of licences is empty: give SPDX identifiers, as CC-BY-4.0 or CC-BY*")
        return [pattern.strip() for pattern in licenses]


def apply_policy(
    context: dg.AssetExecutionContext, policy: Policy, compute: Compute, snapshot: str, taken_down: Excluded
) -> Excluded:
    """Judge every match of the snapshot that is not taken down; nothing is asked for where the policy is empty.

    Raises dg.Failure where the policy names signals that were not gathered for these matches.
    """
    if not (policy.opt_outs or policy.licenses):
        return {}
    lake = compute.lake
    pairs = lake.shards("pairs", snapshot, ["pair_id", "license"])
    matches = drop_excluded(lake.shards("matches", snapshot, ["pair_id"]), taken_down)
    signals = _read_signals(lake, policy, snapshot)
    shards = {
        key: {
            "pairs": pairs[key],
            "matches": matches[key],
            "signals": signals.get(key, defer(chain_batches)),
            "snapshot": snapshot,
            "shard": key,
        }
        for key in matches
    }
    options = {"opt_outs": policy.opt_outs, "licenses": policy.licenses}
    manifest = compute.map_shards(
        context, find_opted_out, shards, table="opted_out", partition=snapshot, options=options, whole=True
    )
    return list_excluded(lake, manifest)


def _read_signals(lake: Lake, policy: Policy, snapshot: str) -> Mapping[str, Deferred]:
    if not policy.opt_outs:
        return {}
    manifest = lake.store("opt_out_signals", snapshot).manifest()
    names = ", ".join(policy.opt_outs)
    if manifest is None or not record_matches(lake, [snapshot]).items() <= manifest.inputs.items():
        why = "is not there" if manifest is None else "is of other matches"
        raise dg.Failure(
            f"the policy honours {names}, and opt_out_signals of {snapshot} {why}: materialize opt_out_signals of "
            f"{snapshot}, or give the policy `opt_outs: []`",
            allow_retries=False,
        )
    of_hosts = [name for name in policy.opt_outs if name.startswith(_OF_HOSTS)]
    if of_hosts and manifest.inputs.get(ROBOTS) == NOT_READ:
        raise dg.Failure(
            f"the policy honours {', '.join(of_hosts)}, and robots.txt was not read for {snapshot}: materialize "
            f"robots_txt and opt_out_signals of {snapshot}, or leave these out of `opt_outs`",
            allow_retries=False,
        )
    return lake.shards("opt_out_signals", snapshot, ["pair_id", "signal"])
