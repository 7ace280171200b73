"""One epoch of a small model of every encoder, on the processes of the launcher.

Run with ``torchrun``, a path and the folder of a speech model, the main process writes the weights,
the gradient norm and the loss of every case.
"""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from model_builders import ENCODERS, FACE_ENCODERS, inputs_of, model_of
from safetensors.torch import save_file
from torch import Tensor, nn

from depmm.config import TrainingConfig
from depmm.data.batch import SessionLoader
from depmm.data.session_item import SessionItem
from depmm.models.model import DepressionModel
from depmm.training.experiment import build_accelerator
from depmm.training.phase import PhaseTrainer

N_SESSIONS = 7
# passes of 3 and 4 sessions, of which the last includes the session that would be alone
WHOLE = {"batch_size": 3}
# passes of 2 sessions, then 1: one of two processes reads a filler
DIVIDED = {"batch_size": 3, "gradient_accumulation_steps": 3}
CASES: dict[str, tuple[str, dict[str, int]]] = {
    **{kind: (kind, WHOLE) for kind in ENCODERS},
    "filler": ("attention_resnet", DIVIDED),
}


class Sessions:
    """Sessions that differ in the content and the length of their steps."""

    def __init__(self, kind: str) -> None:
        self.modality = "face" if kind in FACE_ENCODERS else "audio"
        self.settings = SimpleNamespace(workers=0, modalities=[self.modality])
        inputs = inputs_of(kind)[self.modality]
        self.signal, self.length = inputs.values, inputs.lengths

    def __getitem__(self, epoch_and_index: tuple[int | None, int]) -> SessionItem:
        index = epoch_and_index[1]
        x = self.signal[index % 2]
        if x.is_floating_point():
            generator = torch.Generator().manual_seed(index)
            x = x + 0.3 * torch.randn(x.shape, generator=generator)
        else:
            x = x + 31 * index
        steps = [x[step, :n].numpy() for step, n in enumerate(self.length[index % 2])]
        return SessionItem(index, {self.modality: steps})


def without_randomness(model: DepressionModel) -> DepressionModel:
    """Switch dropout off, which depends on the process."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "dropout", None), float):  # of the attention of HuBERT
            module.dropout = 0.0
    return model


def train_case(name: str, source: str) -> dict[str, Tensor]:
    """Train one epoch; return the weights, ``grad_norm`` and ``train_loss``.

    ``source`` is the folder of a small speech model.
    """
    kind, sizes = CASES[name]
    encoder = {"source": source, "adaptation": "full"} if kind == "speech_transformer" else {}
    settings = TrainingConfig(
        optimizer="sgd", momentum=0.0, schedule="constant", warmup_epochs=0.0, **sizes
    )
    config: Any = SimpleNamespace(training=settings, seed=0)
    accelerator = build_accelerator(config)
    targets = np.arange(N_SESSIONS) % 2
    data: Any = SimpleNamespace(
        sessions=pd.DataFrame({"target": targets}),
        indices=lambda split: list(range(N_SESSIONS)),
        dataset=Sessions(kind),
    )
    loader = SessionLoader(data.dataset, accelerator.device)
    model = without_randomness(model_of(kind, "mean_pool", **encoder)).train()
    trainer = PhaseTrainer(config, data, model, accelerator, loader)
    row, _ = trainer.train_epoch(0, 0, 1, 0.05, [])
    # clones, because weights may share memory
    state = {key: value.detach().clone().contiguous() for key, value in model.state_dict().items()}
    numbers = {key: torch.tensor(row[key]) for key in ("grad_norm", "train_loss")}
    return {**state, **numbers}


def main(path: Path, source: str) -> None:
    """Train every case and write the results of the main process."""
    torch.set_num_threads(1)
    results = {
        f"{name}/{key}": value for name in CASES for key, value in train_case(name, source).items()
    }
    accelerator = build_accelerator(SimpleNamespace(training=TrainingConfig()))  # type: ignore[arg-type]
    results["world_size"] = torch.tensor(accelerator.num_processes)
    if accelerator.is_main_process:
        save_file(results, path)
    accelerator.wait_for_everyone()
    accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
