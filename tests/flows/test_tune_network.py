"""Networks of TerraTorch: every template builds, takes a training step, and survives being published."""

import json
from pathlib import Path

import pytest
import torch

from terralab.catalog.errors import AssetCorrupt, InvalidInput, ServiceUnavailable, UnknownName
from terralab.flows.tuning.backbones import find_backbone
from terralab.flows.tuning.checkpoints import load_network, save_network
from terralab.flows.tuning.network import build_network, model_config
from terralab.flows.tuning.templates import find_template
from tests.flows.frozen_dataset import CLASSES

pytestmark = pytest.mark.torch
BANDS = ("B02", "B03", "B04", "B8A")
# One small member of each family; the large ones differ in numbers only and take minutes and gigabytes.
FAMILIES = ("prithvi_eo_tiny", "prithvi_eo_v2_tiny_tl", "terramind_v1_tiny", "timm_resnet18", "timm_convnext_atto")


def config_of(backbone: str, size: int = 32, bands: tuple[str, ...] = BANDS) -> dict:
    config = model_config(find_template("Segmentation"), find_backbone(backbone), bands, CLASSES, size, {})
    return json.loads(json.dumps(config))


def step(network: torch.nn.Module, size: int, bands: int = len(BANDS)) -> torch.Tensor:
    torch.manual_seed(0)
    logits = network.train()(torch.randn(2, bands, size, size)).output
    assert logits.shape == (2, 2, size, size)
    loss = torch.nn.functional.cross_entropy(logits, torch.randint(2, (2, size, size)))
    loss.backward()
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert len(gradients) > 10
    return loss.detach()


@pytest.mark.parametrize("backbone", FAMILIES)
@pytest.mark.parametrize("size", [32, 50])
def test_families_take_a_step_at_any_chip_size(backbone: str, size: int) -> None:
    step(build_network(config_of(backbone, size)), size)


def test_clay_takes_a_step_at_its_chip_size() -> None:
    step(build_network(config_of("clay_v1_base", 40)), 40)


def test_terramind_takes_bands_that_it_was_not_trained_with() -> None:
    step(build_network(config_of("terramind_v1_tiny", bands=("B02", "dem", "slope"))), 32, 3)


@pytest.mark.parametrize("backbone", ["timm_resnet18", "prithvi_eo_tiny"])
def test_a_published_network_predicts_the_same(backbone: str, tmp_path: Path) -> None:
    config = config_of(backbone)
    torch.manual_seed(1)
    network = build_network(config).eval()
    image = torch.randn(1, len(BANDS), 32, 32)
    with torch.inference_mode():
        expected = network(image).output
    weights = save_network(network, tmp_path)
    first = weights.read_bytes()
    loaded = load_network(config, weights)
    assert torch.equal(loaded(image), expected)
    assert not loaded.training
    assert save_network(network, tmp_path).read_bytes() == first


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    weights = save_network(build_network(config_of("prithvi_eo_tiny")), tmp_path)
    with pytest.raises(InvalidInput, match="do not belong together"):
        load_network(config_of("prithvi_eo_tiny", bands=("B02", "B03")), weights)
    with pytest.raises(InvalidInput, match="do not belong together"):
        load_network(config_of("timm_resnet18"), weights)
    with pytest.raises(InvalidInput, match="format"):
        load_network({**config_of("prithvi_eo_tiny"), "format": "other/2"}, weights)
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(AssetCorrupt, match="safetensors"):
        load_network(config_of("prithvi_eo_tiny"), weights)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    config = config_of("prithvi_eo_tiny")
    network = build_network(config)
    weights = save_network(network, tmp_path)
    damaged = load_file(weights)
    next(tensor for tensor in damaged.values() if tensor.is_floating_point()).view(-1)[0] = float("nan")
    save_file(damaged, tmp_path / "damaged.safetensors")
    with pytest.raises(AssetCorrupt, match="no finite numbers"):
        load_network(config, tmp_path / "damaged.safetensors")
    network.load_state_dict(damaged)
    with pytest.raises(InvalidInput, match="diverged"):
        save_network(network, tmp_path)


def test_names_that_terratorch_lacks_are_unknown() -> None:
    with pytest.raises(UnknownName, match="did you mean timm_resnet18"):
        build_network(config_of("timm_resnet18x"))


def test_the_frozen_part_is_the_backbone_alone() -> None:
    network = build_network(config_of("timm_resnet18"))
    network.freeze_encoder()
    free = {name for name, weight in network.named_parameters() if weight.requires_grad}
    assert not any(name.startswith("encoder.encoder.") for name in free)
    assert any(name.startswith("encoder.pixels.") for name in free)
    assert any(name.startswith("decoder.") for name in free)


@pytest.mark.parametrize("backbone", ["timm_resnet18", "prithvi_eo_v2_tiny_tl", "terramind_v1_tiny"])
def test_published_weights_need_a_network(backbone: str) -> None:
    with pytest.raises(ServiceUnavailable, match=f"published weights of {backbone} cannot be fetched"):
        build_network(config_of(backbone), pretrained=True)


def test_a_backbone_without_published_weights_says_so() -> None:
    with pytest.raises(InvalidInput, match="No pre-trained model found"):
        build_network(config_of("prithvi_eo_tiny"), pretrained=True)
