"""CHECKPOINTS, zero-shot tasks -> SCORES, CLASS_SCORES: which name, or which caption, is nearest to each image."""

from metaclip_dagster.evaluation.evaluating import evaluate, score_classes, score_model
from metaclip_dagster.evaluation.models import Loaded, load_model
from metaclip_dagster.evaluation.tasks import Task, read_task, task_version

__all__ = [
    "Loaded",
    "Task",
    "evaluate",
    "load_model",
    "read_task",
    "score_classes",
    "score_model",
    "task_version",
]
