"""From template, backbone, bands and classes to the plain JSON arguments of TerraTorch's `EncoderDecoderFactory`.

`model_config` needs no torch. `build_network` does, and gives the network with random weights, or with published ones
where it is asked to.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from terralab.catalog.errors import InvalidInput, ServiceUnavailable, UnknownName
from terralab.extensions.bands import BY_NAME
from terralab.extensions.raster import ClassDefinition
from terralab.flows.tuning.backbones import BACKBONES, Backbone, Family, padded_size
from terralab.flows.tuning.templates import Template

if TYPE_CHECKING:
    from torch import nn

FORMAT = "terralab-segmentation/1"
MODEL_FACTORY = "EncoderDecoderFactory"
PIXEL_PYRAMID = "terralab_pixel_pyramid"
DECODER = "terralab_pixel_fusion"
PIXEL_CHANNELS = 64
# Bands that TerraMind was trained with, by the name of its input; the first that has all bands is taken.
_TERRAMIND_INPUTS = {
    "S2L2A": {"B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"},
    "S2L1C": {"B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"},
    "S1GRD": {"VV", "VH"},
}


def model_config(
    template: Template,
    backbone: Backbone,
    bands: Sequence[str],
    classes: Sequence[ClassDefinition],
    chip_size: int,
    training: dict[str, Any],
) -> dict[str, Any]:
    """Return the `config` asset of a model: everything but the weights that `build_network` needs.

    Args:
        template: fixes the task.
        backbone: of the network.
        bands: band names in channel order.
        classes: in the order of output channels.
        chip_size: rows and columns of a training chip.
        training: how the network is trained, for people and for a repetition.

    Raises:
        InvalidInput: the backbone cannot take these bands.
    """
    return {
        "format": FORMAT,
        "template": template.name,
        "backbone": backbone.name,
        "model_factory": MODEL_FACTORY,
        "task": template.task,
        "model_args": _factory_arguments(backbone, bands, len(classes), chip_size),
        "bands": list(bands),
        "classes": [entry.to_stac() for entry in classes],
        "chip_size": chip_size,
        "training": training,
    }


def build_network(config: dict[str, Any], pretrained: bool = False) -> "nn.Module":
    """Build the network of a `config`.

    Args:
        config: from `model_config`.
        pretrained: whether to fetch the backbone's published weights; else its weights are random.

    Raises:
        UnknownName: TerraTorch has no such backbone.
        ServiceUnavailable: the published weights cannot be fetched.
        InvalidInput: the network cannot be built so.
    """
    from terratorch.registry import MODEL_FACTORY_REGISTRY

    import terralab.flows.tuning.pixel_path  # noqa: F401  # registers backbone and decoder

    check_registered(config["backbone"])
    arguments = {**config["model_args"], "backbone_pretrained": pretrained}
    factory = MODEL_FACTORY_REGISTRY.build(config["model_factory"])
    try:
        return cast("nn.Module", factory.build_model(config["task"], **arguments))
    except OSError as error:
        if not pretrained:
            raise
        raise ServiceUnavailable(
            f"the published weights of {config['backbone']} cannot be fetched ({_first_line(error)}); "
            "connect to the network, or use weights 'none'"
        ) from error
    except (ValueError, RuntimeError, AssertionError, TypeError, IndexError, KeyError) as error:
        raise InvalidInput(
            f"TerraTorch cannot build {config['backbone']} for the bands {', '.join(config['bands'])}: "
            f"{_first_line(error)}"
        ) from error


def check_registered(name: str) -> None:
    """Check that TerraTorch has a backbone of that name.

    Raises:
        UnknownName: it has none.
    """
    from terratorch.registry import BACKBONE_REGISTRY

    # The registry's own `in` is wrong for timm's names with a tag such as `.fb_in22k`.
    if name not in BACKBONES and name.split(".")[0] not in BACKBONE_REGISTRY:
        plain = [known.removeprefix("terratorch_") for known in BACKBONE_REGISTRY]
        raise UnknownName.of("backbone", name, [*BACKBONES, *plain])


def architecture(config: dict[str, Any]) -> str:
    """Return what `mlm:architecture` says."""
    return f"{config['backbone']} + UNetDecoder + pixel path"


def _factory_arguments(backbone: Backbone, bands: Sequence[str], classes: int, chip_size: int) -> dict[str, Any]:
    return {
        "backbone": PIXEL_PYRAMID,
        "backbone_encoder": backbone.name,
        "backbone_channels": len(bands),
        "backbone_pixel_channels": PIXEL_CHANNELS,
        "backbone_necks": _necks(backbone),
        "backbone_arguments": _band_arguments(backbone, bands, chip_size),
        "decoder": DECODER,
        "decoder_channels": list(backbone.decoder_channels),
        "num_classes": classes,
    }


def _necks(backbone: Backbone) -> list[dict[str, Any]]:
    select: dict[str, Any] = {"name": "SelectIndices", "indices": list(backbone.indices)}
    if not backbone.family.is_transformer:
        return [select]
    class_token = backbone.family is not Family.TERRAMIND
    return [
        select,
        {"name": "ReshapeTokensToImage", "remove_cls_token": class_token},
        {"name": "LearnedInterpolateToPyramidal"},
    ]


def _band_arguments(backbone: Backbone, bands: Sequence[str], chip_size: int) -> dict[str, Any]:
    """Return how the backbone is told what its channels are."""
    names = [BY_NAME[name].terratorch if name in BY_NAME else name for name in bands]
    if backbone.family is Family.PRITHVI:
        return {"bands": names, "num_frames": 1}
    if backbone.family is Family.TERRAMIND:
        return _terramind_arguments(bands, names)
    if backbone.family is Family.CLAY:
        unknown = [name for name in bands if name not in BY_NAME]
        if unknown:
            raise InvalidInput(
                f"{backbone.name} knows bands by their wavelength and does not know {', '.join(unknown)}; "
                "name the bands as Sentinel-1 and Sentinel-2 do, or choose another backbone"
            )
        return {"bands": names, "img_size": padded_size(backbone, chip_size)}
    return {"in_chans": len(bands)}


def _terramind_arguments(bands: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    for modality, known in _TERRAMIND_INPUTS.items():
        if set(bands) <= known:
            return {"modalities": [modality], "bands": {modality: list(names)}}
    return {"modalities": [{"IMAGE": len(bands)}]}


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
