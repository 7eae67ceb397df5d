"""Send a notice of every failed run to the deployment's webhook or command, by a sensor."""

import dagster as dg

from resources.deployments import Deployment
from resources.instance.notices import notify


def build_sensor(where: Deployment) -> dg.SensorDefinition:
    """Tell the deployment's webhook and command of every failed run; off where there is neither."""
    is_asked = bool(where.failure_webhook or where.failure_command)

    @dg.run_failure_sensor(
        name="failed_runs",
        minimum_interval_seconds=30,
        description="Tells METACLIP_FAILURE_WEBHOOK and METACLIP_FAILURE_COMMAND of every failed run: which assets, "
        "which partition, which kind of error, and where to look. It is on from the start where one of them is set.",
        default_status=dg.DefaultSensorStatus.RUNNING if is_asked else dg.DefaultSensorStatus.STOPPED,
    )
    def failed_runs(context: dg.RunFailureSensorContext) -> None:
        """Post what failed."""
        notify(describe_failure(context, where), webhook=where.failure_webhook, command=where.failure_command)

    return failed_runs


def describe_failure(context: dg.RunFailureSensorContext, where: Deployment) -> dict[str, str | list[str]]:
    """What failed, without messages and config: both may hold what is nobody else's business."""
    run = context.dagster_run
    failures = context.get_step_failure_events()
    errors = [event.step_failure_data.error for event in failures]
    kinds = [(error.cause or error).cls_name for error in errors if error]
    # A run whose process is gone has no failed step, but mostly names its assets.
    assets = sorted(
        {str(event.step_key) for event in failures} or {key.to_user_string() for key in run.asset_selection or ()}
    )
    partition = run.tags.get("dagster/partition", "")
    link = f"http://127.0.0.1:{where.port}/runs/{run.run_id}"
    what = " ".join(filter(None, [", ".join(assets) or run.job_name, partition]))
    return {
        "text": f"{where.name}: {what} failed ({', '.join(map(str, kinds)) or 'the run itself'}); {link}",
        "deployment": where.name,
        "run": run.run_id,
        "job": run.job_name,
        "assets": assets,
        "partition": partition,
        "errors": [str(kind) for kind in kinds],
        "link": link,
    }
