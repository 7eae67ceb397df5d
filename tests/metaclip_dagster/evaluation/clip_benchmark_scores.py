"""What CLIP_benchmark gives for a model and tasks, as its own command asks for it; run where it is installed."""

import json
import sys
from typing import Any


def score(model_name: str, folder: str) -> Any:  # CLIP_benchmark is untyped
    import open_clip
    import torch
    from clip_benchmark.datasets.builder import build_wds_dataset  # type: ignore[import-not-found, unused-ignore]
    from clip_benchmark.metrics import (  # type: ignore[import-not-found, unused-ignore]
        zeroshot_classification,
        zeroshot_retrieval,
    )

    model, _, preprocess = open_clip.create_model_and_transforms(model_name)
    tokenizer = open_clip.get_tokenizer(model_name)
    dataset = build_wds_dataset("task", preprocess, data_dir=folder)
    loader = torch.utils.data.DataLoader(dataset.batched(7), batch_size=None)
    same = (model.eval(), loader, tokenizer)
    if dataset.classes is None:
        return zeroshot_retrieval.evaluate(*same, "cpu", amp=False, recall_k_list=[1, 5, 10])
    return zeroshot_classification.evaluate(*same, dataset.classes, dataset.templates, "cpu", amp=False)


if __name__ == "__main__":
    sys.stdout.write(json.dumps([score(sys.argv[1], folder) for folder in sys.argv[2:]]))
