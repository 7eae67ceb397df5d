"""Score how well models name images that they were not trained for, by task, class and image: CHECKPOINTS -> SCORES."""

from metaclip_dagster.clip_models import LoadedModel, load_model
from metaclip_dagster.evaluation.answering import evaluate
from metaclip_dagster.evaluation.embedding import embed_images
from metaclip_dagster.evaluation.evaluating import predict_samples, score_classes, score_model
from metaclip_dagster.evaluation.tasks import Task, read_task, task_version
