"""A job as open_clip_train's command line: nothing is left to a default that follows from the model's name."""

from metaclip_dagster.training.jobs import Job

NAME = "run"


def build_arguments(job: Job) -> list[str]:
    """The arguments of `open_clip_train.main.main`, the same on every rank.

    Its training data are numbers, a tar's place in the job: no path of ours is ever expanded, and none of its own URLs
    (`pipe:` runs commands) can be reached. See `loading.ImageTexts`.
    """
    recipe = job.recipe
    options = {
        "dataset-type": "webdataset",
        "train-data": f"{{0..{len(job.tars) - 1}}}",
        "train-num-samples": job.pairs_an_epoch,
        "workers": job.loader_workers,
        "model": recipe.architecture,
        "seed": job.seed,
        "batch-size": job.loader_batch,
        "accum-freq": recipe.accum_freq,
        "epochs": recipe.epochs,
        "lr": recipe.lr,
        "lr-scheduler": "cosine",
        "warmup": recipe.warmup,
        "wd": recipe.wd,
        "beta1": recipe.beta1,
        "beta2": recipe.beta2,
        "eps": recipe.eps,
        "aug-cfg": f"scale=({recipe.least_scale},1.0)",
        "device": job.device,
        "dist-backend": "gloo" if job.device == "cpu" else "nccl",
        "precision": job.precision,
        "logs": job.out,
        "name": NAME,
        "report-to": "tensorboard",
        "log-every-n-steps": recipe.log_every,
        "save-frequency": 0,  # epoch_<n>.pt is not written atomically; only epoch_latest.pt is
        "resume": "latest",
    }
    # The loss of a rank's own images against the texts of all: the global batch's gradients, in less memory.
    switches = ["save-most-recent", "local-loss", "gather-with-grad"]
    if recipe.grad_checkpointing:
        switches.append("grad-checkpointing")
    named = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [*named, *(f"--{name}" for name in switches)]
