"""Show the test images that the sweep chose: read them from their task's folder, and make a thumbnail of each."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from metaclip_dagster.evaluation import read_task
from metaclip_dagster.evaluation.images import decode_image, read_samples
from metaclip_dagster.reporting.html.thumbnails import Picture, encode_thumbnail
from metaclip_dagster.reporting.sweeps.answers import SIDES
from resources.tasks.resource import ZeroShot


def read_samples_of_sweep(zero_shot: ZeroShot, sweep: Mapping[str, Any]) -> dict[int, Picture]:
    """A picture of each test image that the sweep shows, by its number; without a thumbnail where it cannot be had.

    The task's images are read in their order up to the last that is shown.
    """
    images = sweep["classes"] and sweep["classes"]["images"]
    if not images:
        return {}
    pictures = {
        image["sample"]: Picture(f"{images['task']}/{image['sample']}", text=image["class_name"])
        for side in SIDES
        for image in images[side]
    }
    [version] = [task["version"] for task in sweep["tasks"] if task["task"] == images["task"]]
    note = ""
    try:
        thumbnails = _read_thumbnails(zero_shot.folder(images["task"]), version, pictures)
    except (OSError, ValueError):  # the scores stand without it
        thumbnails, note = {}, "its task was changed or is gone"
    return {
        number: replace(picture, thumbnail=thumbnails.get(number), note=note) for number, picture in pictures.items()
    }


def _read_thumbnails(folder: str | None, version: str, numbers: Mapping[int, object]) -> dict[int, bytes]:
    if folder is None:
        raise ValueError("the task is not among those of the deployment")
    task = read_task(folder)
    if task.version != version:
        raise ValueError(f"{task.folder}: has other files than were scored")
    samples = enumerate(islice(read_samples(task), max(numbers, default=-1) + 1))
    return {number: encode_thumbnail(decode_image(sample)) for number, sample in samples if number in numbers}
