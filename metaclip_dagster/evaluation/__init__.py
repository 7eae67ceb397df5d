"""Score how well models name images that they were not trained for: CHECKPOINTS -> SCORES, CLASS_SCORES."""

from metaclip_dagster.evaluation.evaluating import evaluate, score_classes, score_model
from metaclip_dagster.evaluation.models import LoadedModel, load_model
from metaclip_dagster.evaluation.tasks import Task, read_task, task_version
