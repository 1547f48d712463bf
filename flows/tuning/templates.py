"""Tuning templates, as data: what a person chooses instead of twenty parameters.

A template fixes the task and suggests a backbone; everything that it suggests can be overridden. Listed are those that
were built and trained for a step with random weights (`tests/flows/test_tune_network.py`).
"""

from dataclasses import dataclass

from terralab.catalog.errors import UnknownName
from terralab.flows.tuning.backbones import DEFAULT_BACKBONE


@dataclass(frozen=True)
class Template:
    """One template.

    Attributes:
        name: as users write it.
        task: TerraTorch's name of the task.
        backbone: what is used where none is named.
        description: one sentence for people.
    """

    name: str
    task: str
    backbone: str
    description: str


TEMPLATES = {
    template.name: template
    for template in (
        Template(
            "Segmentation",
            "segmentation",
            DEFAULT_BACKBONE,
            "One class for every pixel; a small residual network that trains from scratch in a minute or two.",
        ),
        Template(
            "prithvi: Segmentation",
            "segmentation",
            "prithvi_eo_v2_300",
            "One class for every pixel, on NASA and IBM's Prithvi EO 2.0.",
        ),
        Template(
            "terramind: Segmentation",
            "segmentation",
            "terramind_v1_base",
            "One class for every pixel, on IBM and ESA's TerraMind.",
        ),
        Template(
            "clay_v1: Segmentation",
            "segmentation",
            "clay_v1_base",
            "One class for every pixel, on Clay 1.0, which knows bands by their wavelength.",
        ),
        Template(
            "timm_resnet: Segmentation",
            "segmentation",
            "timm_resnet50",
            "One class for every pixel, on a residual network.",
        ),
        Template(
            "timm_convnext: Segmentation",
            "segmentation",
            "timm_convnext_large.fb_in22k",
            "One class for every pixel, on a ConvNeXt.",
        ),
    )
}
DEFAULT_TEMPLATE = "Segmentation"


def find_template(name: str) -> Template:
    """Return the template of that name.

    Raises:
        UnknownName: there is none; the message names the closest.
    """
    found = TEMPLATES.get(name.strip())
    if found is None:
        raise UnknownName.of("template", name, list(TEMPLATES))
    return found
