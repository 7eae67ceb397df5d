"""Write open_clip_train's command line for a training's plan, leaving nothing to defaults."""

from metaclip_dagster.training.jobs import TrainingPlan

NAME = "run"


def build_arguments(plan: TrainingPlan) -> list[str]:
    """The arguments of `open_clip_train.main.main`, the same on every rank.

    Its training data are numbers, of the plan's tars or of a mixture's loaders: no path of ours is ever expanded, and
    none of its own URLs (`pipe:` runs commands) can be reached. See `loading.ImageTexts`.
    """
    recipe = plan.recipe
    options = {
        "dataset-type": "webdataset",
        "train-data": f"{{0..{plan.num_parts - 1}}}",
        "train-num-samples": plan.pairs_an_epoch,
        "workers": plan.loader_workers,
        "model": recipe.architecture,
        "seed": plan.seed,
        "batch-size": plan.loader_batch,
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
        "device": plan.device,
        "dist-backend": "gloo" if plan.device == "cpu" else "nccl",
        "precision": plan.precision,
        "logs": plan.out,
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
