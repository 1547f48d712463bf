"""The backbones that tuning offers, as data: how each is told its bands and how its features become a pyramid.

Three families of networks end in the same decoder:

- transformers give tokens of one resolution; a neck picks four layers, folds the tokens into maps and learns a pyramid;
- convolutional networks give a pyramid by themselves; the neck picks four of its maps.

Names are those of TerraTorch's registry. The spellings that model cards use (`Prithvi_EO_V2_300M`) are understood too.
Any other name of these families that TerraTorch registers is accepted; whether it does is known at run time only,
because importing TerraTorch takes 20 seconds.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from terralab.catalog.errors import UnknownName


class Family(StrEnum):
    """How a backbone is built and what its features look like."""

    PRITHVI = "prithvi"
    TERRAMIND = "terramind"
    CLAY = "clay"
    CONVOLUTIONAL = "convolutional"

    @property
    def is_transformer(self) -> bool:
        """Say whether the features are tokens."""
        return self is not Family.CONVOLUTIONAL


@dataclass(frozen=True)
class Backbone:
    """One backbone.

    Attributes:
        name: in TerraTorch's registry.
        family: see `Family`.
        stride: chips whose size is no multiple of it are padded by reflection, pixels.
        indices: the four features that reach the decoder.
        decoder_channels: of the UNet decoder, from coarse to fine.
        million_weights: about, for people who choose.
        fixed_size: whether it takes images of its training size only.
    """

    name: str
    family: Family
    stride: int
    indices: tuple[int, ...]
    decoder_channels: tuple[int, ...]
    million_weights: float
    fixed_size: bool = False


_SMALL = (64, 48, 32, 24)
_MIDDLE = (128, 96, 64, 32)
_LARGE = (512, 256, 128, 64)
_TWELVE, _TWENTY_FOUR, _THIRTY_TWO = (2, 5, 8, 11), (5, 11, 17, 23), (7, 15, 23, 31)
_FINEST = (0, 1, 2, 3)


def _prithvi(
    name: str, weights: float, indices: tuple[int, ...], channels: tuple[int, ...], patch: int = 16
) -> Backbone:
    return Backbone(name, Family.PRITHVI, 2 * patch, indices, channels, weights)


def _terramind(name: str, weights: float, indices: tuple[int, ...], channels: tuple[int, ...]) -> Backbone:
    return Backbone(name, Family.TERRAMIND, 32, indices, channels, weights)


def _convolutional(name: str, weights: float, channels: tuple[int, ...]) -> Backbone:
    return Backbone(name, Family.CONVOLUTIONAL, 1, _FINEST, channels, weights)


BACKBONES = {
    backbone.name: backbone
    for backbone in (
        _prithvi("prithvi_eo_tiny", 3.6, _FINEST, _SMALL),
        _prithvi("prithvi_eo_v2_tiny_tl", 5.6, _TWELVE, _SMALL),
        _prithvi("prithvi_eo_v1_100", 86.2, _TWELVE, _LARGE),
        _prithvi("prithvi_eo_v2_300", 303.9, _TWENTY_FOUR, _LARGE),
        _prithvi("prithvi_eo_v2_300_tl", 303.9, _TWENTY_FOUR, _LARGE),
        _prithvi("prithvi_eo_v2_600", 631.2, _THIRTY_TWO, _LARGE, patch=14),
        _prithvi("prithvi_eo_v2_600_tl", 631.2, _THIRTY_TWO, _LARGE, patch=14),
        _terramind("terramind_v1_tiny", 6.0, _TWELVE, _SMALL),
        _terramind("terramind_v1_small", 22.7, _TWELVE, _MIDDLE),
        _terramind("terramind_v1_base", 87.7, _TWELVE, _LARGE),
        _terramind("terramind_v1_large", 305.7, _TWENTY_FOUR, _LARGE),
        Backbone("clay_v1_base", Family.CLAY, 16, _TWELVE, _LARGE, 92.1, fixed_size=True),
        _convolutional("timm_resnet18", 11.2, _SMALL),
        _convolutional("timm_resnet34", 21.3, _SMALL),
        _convolutional("timm_resnet50", 23.5, _MIDDLE),
        _convolutional("timm_resnet101", 42.5, _MIDDLE),
        _convolutional("timm_resnet152", 58.2, _MIDDLE),
        _convolutional("timm_convnext_large.fb_in22k", 196.2, _LARGE),
        _convolutional("timm_convnext_xlarge.fb_in22k", 348.2, _LARGE),
    )
}
DEFAULT_BACKBONE = "timm_resnet18"

_OTHER_SPELLINGS = {
    "prithvi_eo_v1_100m": "prithvi_eo_v1_100",
    "prithvi_eo_v2_300m": "prithvi_eo_v2_300",
    "prithvi_eo_v2_300m_tl": "prithvi_eo_v2_300_tl",
    "prithvi_eo_v2_600m": "prithvi_eo_v2_600",
    "prithvi_eo_v2_600m_tl": "prithvi_eo_v2_600_tl",
    "timm_convnext_large": "timm_convnext_large.fb_in22k",
    "timm_convnext_xlarge": "timm_convnext_xlarge.fb_in22k",
}
# What an unlisted name of a family starts like; TerraMind's TiM variants take no choice of bands.
_LIKE = {
    "prithvi_eo_": "prithvi_eo_v2_tiny_tl",
    "terramind_v1_": "terramind_v1_base",
    "timm_": "timm_resnet50",
}


def find_backbone(name: str) -> Backbone:
    """Return the backbone of that name, in any of its spellings.

    Args:
        name: a listed name, or an unlisted one that starts like a known family. Whether TerraTorch has an unlisted
            one is checked by `network.check_registered`.

    Raises:
        UnknownName: the name belongs to no family that the lab knows how to build.
    """
    key = name.strip()
    key = _OTHER_SPELLINGS.get(key.lower(), key)
    listed = BACKBONES.get(key) or BACKBONES.get(key.lower())
    if listed:
        return listed
    for start, model in _LIKE.items():
        if key.startswith(start) and len(key) > len(start) and not key.endswith("_tim"):
            return replace(BACKBONES[model], name=key)
    raise UnknownName.of("backbone", name, list(BACKBONES))


def is_listed(backbone: Backbone) -> bool:
    """Say whether the backbone is one of those that the lab was tried with."""
    return backbone.name in BACKBONES


def padded_size(backbone: Backbone, chip_size: int) -> int:
    """Return the size, pixels, that a chip has inside the network."""
    return -(-chip_size // backbone.stride) * backbone.stride
