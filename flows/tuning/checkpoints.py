"""A network's published form: safetensors for the weights, the `config` JSON for everything else.

No pickle anywhere: safetensors holds arrays only, so a model file from elsewhere cannot run code.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from terralab.catalog.errors import AssetCorrupt, InvalidInput
from terralab.flows.tuning.network import FORMAT, build_network

WEIGHTS_FILE = "weights.safetensors"
CONFIG_FILE = "config.json"
_SHOWN = 3


class Logits(nn.Module):
    """A TerraTorch network whose output is the logits alone: float32 (batch, classes, rows, columns).

    The input is float32 (batch, bands, rows, columns), scaled as the model item says.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of `image`."""
        logits: Tensor = self.network(image).output
        return logits.float()


def save_network(network: nn.Module, folder: Path) -> Path:
    """Write the weights of a network that `build_network` made.

    Equal weights give equal bytes: safetensors sorts its tensors, and nothing else is written.

    Raises:
        InvalidInput: a weight is not a finite number; the training has diverged.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    wrong = _not_finite(weights)
    if wrong:
        raise InvalidInput(
            f"the training has diverged: {wrong[0]} holds values that are no finite numbers; use a lower learning rate"
        )
    path = folder / WEIGHTS_FILE
    aside = path.with_suffix(".aside")
    save_file(weights, aside)
    aside.replace(path)
    return path


def save_config(config: dict[str, Any], folder: Path) -> Path:
    """Write a `config` as JSON with sorted keys."""
    path = folder / CONFIG_FILE
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path


def load_network(config: dict[str, Any], weights: Path) -> nn.Module:
    """Rebuild a published network, ready for inference.

    Args:
        config: the model's `config` asset, parsed.
        weights: its `weights` asset, a safetensors file.

    Returns:
        A module in evaluation mode; see `Logits` for input and output.

    Raises:
        InvalidInput: the config is of another format, or the weights do not fit the network that it describes.
        AssetCorrupt: the weights cannot be read, or hold values that are no finite numbers.
    """
    if config.get("format") != FORMAT:
        raise InvalidInput(f"the model's config has the format {config.get('format')!r}; this lab reads {FORMAT!r}")
    try:
        stored = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise AssetCorrupt(
            f"{weights.name}: not readable as safetensors ({error}); restore it from a backup"
        ) from error
    network = build_network(config)
    _check_fit(network.state_dict(), stored)
    network.load_state_dict(stored)
    return Logits(network).eval().requires_grad_(False)


def _check_fit(expected: dict[str, Tensor], stored: dict[str, Tensor]) -> None:
    problems = [f"{name} is missing" for name in expected if name not in stored]
    problems += [f"{name} is not part of the network" for name in stored if name not in expected]
    problems += [
        f"{name} has the shape {tuple(stored[name].shape)}, the network {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in stored and stored[name].shape != tensor.shape
    ]
    if problems:
        raise InvalidInput(f"weights and config do not belong together: {'; '.join(problems[:_SHOWN])}")
    wrong = _not_finite(stored)
    if wrong:
        raise AssetCorrupt(f"the weights hold values that are no finite numbers, in {', '.join(wrong[:_SHOWN])}")


def _not_finite(weights: dict[str, Tensor]) -> list[str]:
    return [name for name, tensor in weights.items() if not bool(torch.isfinite(tensor).all())]
