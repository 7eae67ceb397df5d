"""Gather what speaks against the use of each matched pair, and apply a policy: OPT_OUT_SIGNALS, then EXCLUSIONS."""

from metaclip_dagster.opting_out.hosts import judge_hosts, scatter_hosts, scatter_texts
from metaclip_dagster.opting_out.policies import find_opted_out
from metaclip_dagster.opting_out.signals import gather_host_signals, read_signals
