"""A pixel path beside TerraTorch's backbones and decoders, as a backbone and a decoder of TerraTorch's own registries.

The finest features of a residual network have half the image's resolution, those of a transformer a quarter; a decoder
on top of them draws borders that are one to two pixels off, and with few chips it learns the places by heart instead of
the spectra. Therefore the network has two paths:

- pixels: 1 × 1 convolutions on the bands, a spectral classifier at full resolution;
- context: the backbone and a UNet decoder, which see shape and texture.

Both meet in 1 × 1 convolutions before the head. In training, the context of half of the chips is left out at random
(Srivastava et al., Dropout, JMLR 2014, for a whole path as in Neverova et al., ModDrop, TPAMI 2016), so the pixel path
learns to stand alone and the context to add what it lacks.

`EncoderDecoderFactory` builds both from plain JSON arguments once this module is imported. The necks of the wrapped
backbone are arguments of the wrapper, because they must not see the pixel level.
"""

from collections.abc import Sequence
from typing import Any

import torch
from terratorch.models.decoders import UNetDecoder
from terratorch.models.necks import NeckSequential, build_neck_list
from terratorch.registry import BACKBONE_REGISTRY, TERRATORCH_BACKBONE_REGISTRY, TERRATORCH_DECODER_REGISTRY
from torch import Tensor, nn
from torch.nn.functional import interpolate

_CONTEXT_LEFT_OUT = 0.5
_CONTEXT_CHANNELS_LEFT_OUT = 0.2


class PixelPyramid(nn.Module):
    """An encoder's pyramid with a full-resolution level in front.

    Args:
        encoder: TerraTorch backbone; its features are maps, or tokens that `necks` turn into maps.
        necks: TerraTorch necks, as `EncoderDecoderFactory` takes them.
        channels: of the image.
        pixel_channels: channels of the full-resolution level.
    """

    def __init__(self, encoder: nn.Module, necks: list[dict[str, Any]], channels: int, pixel_channels: int) -> None:
        super().__init__()
        self.encoder = encoder
        layers, widths = build_neck_list(necks, list(encoder.out_channels))
        self.necks = NeckSequential(*layers)
        self.pixels = nn.Sequential(_embedding(channels, pixel_channels), _embedding(pixel_channels, pixel_channels))
        self.out_channels = [pixel_channels, *widths]

    def forward(self, image: Tensor, **_: Any) -> list[Tensor]:
        """Return maps from fine to coarse for `image`, (batch, bands, rows, columns)."""
        features = self.necks(self.encoder(image), image_size=tuple(image.shape[-2:]))
        return [self.pixels(image), *features]

    def freeze(self) -> None:
        """Freeze the wrapped encoder; necks and the pixel path, which nobody has trained before, stay free."""
        for weight in self.encoder.parameters():
            weight.requires_grad_(False)


class PixelFusion(nn.Module):
    """A decoder that joins the pixel path with a UNet decoder's context.

    Args:
        embed_dim: channels of the features: the pixel level, then the pyramid from fine to coarse.
        channels: of the UNet decoder, one for each level of the pyramid.
    """

    def __init__(self, embed_dim: Sequence[int], channels: Sequence[int]) -> None:
        super().__init__()
        pixels, *pyramid = embed_dim
        self.context = UNetDecoder(list(pyramid), list(channels))
        self.thinned = nn.Dropout2d(_CONTEXT_CHANNELS_LEFT_OUT)
        self.joined = _embedding(pixels + channels[-1], pixels)
        self.out_channels = pixels

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (batch, channels, rows, columns) at the resolution of the first of `features`."""
        pixels, *pyramid = features
        context = interpolate(self.context(pyramid), size=pixels.shape[-2:], mode="bilinear")
        context = self.thinned(context)
        if self.training:
            kept = torch.rand(len(context), 1, 1, 1, device=context.device) >= _CONTEXT_LEFT_OUT
            context = context * kept.to(context.dtype) / (1 - _CONTEXT_LEFT_OUT)
        joined: Tensor = self.joined(torch.cat([pixels, context], dim=1))
        return joined


def terralab_pixel_pyramid(
    encoder: str,
    channels: int,
    pixel_channels: int,
    necks: list[dict[str, Any]],
    arguments: dict[str, Any],
    pretrained: bool = False,
) -> PixelPyramid:
    """Build the wrapper around the backbone that TerraTorch registers as `encoder`; `arguments` go to that backbone."""
    wrapped = BACKBONE_REGISTRY.build(encoder, pretrained=pretrained, **arguments)
    return PixelPyramid(wrapped, necks, channels, pixel_channels)


def terralab_pixel_fusion(embed_dim: list[int], channels: list[int]) -> PixelFusion:
    """Build the decoder."""
    return PixelFusion(embed_dim, channels)


TERRATORCH_BACKBONE_REGISTRY.register(terralab_pixel_pyramid)
TERRATORCH_DECODER_REGISTRY.register(terralab_pixel_fusion)


def _embedding(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())
