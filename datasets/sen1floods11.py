"""The layout of Sen1Floods11 (Bonafilia et al., CVPR Workshops 2020), whose files carry neither dates nor class names.

Images are `<event>_<number>_S2Hand.tif`: Sentinel-2 L1C, 13 bands. Labels are `<event>_<number>_LabelHand.tif`: -1 no
data, 0 land, 1 water. The acquisition dates by event are those of the dataset's published metadata.
"""

from dataclasses import dataclass
from pathlib import Path

from terralab.catalog.errors import InvalidInput
from terralab.extensions.raster import ClassDefinition

CLASSES = (
    ClassDefinition(value=0, name="land", title="Land", color="D8C9A3"),
    ClassDefinition(value=1, name="water", title="Water", color="1F78B4"),
)
SENTINEL_2_DATES = {
    "Bolivia": "2018-02-15",
    "Colombia": "2018-08-23",
    "Ghana": "2018-09-19",
    "India": "2016-08-12",
    "Mekong": "2018-08-04",
    "Nigeria": "2018-09-20",
    "Pakistan": "2017-06-28",
    "Paraguay": "2018-10-31",
    "Somalia": "2018-05-05",
    "Spain": "2019-09-18",
    "Sri-Lanka": "2017-05-28",
    "USA": "2019-05-22",
}


@dataclass(frozen=True)
class EventFiles:
    """The Sentinel-2 images and hand labels of one event; `date` is the day of the images, `YYYY-MM-DD`."""

    event: str
    date: str
    images: list[Path]
    labels: list[Path]


def find_event(folder: Path) -> EventFiles:
    """Return the files of the event in `folder` (searched with its subfolders).

    Raises:
        InvalidInput: the folder has no such files, or files of several events (their dates differ, so each is a run of
            its own), or of an event that the dataset does not have.
    """
    images = sorted(folder.rglob("*_S2Hand.tif"))
    labels = sorted(folder.rglob("*_LabelHand.tif"))
    events = sorted({path.name.split("_")[0] for path in images})
    if not images or not labels:
        raise InvalidInput(f"{folder} has no *_S2Hand.tif with *_LabelHand.tif, the layout of Sen1Floods11")
    if len(events) > 1:
        raise InvalidInput(f"{folder} has files of several events ({', '.join(events)}); give a folder of one event")
    if events[0] not in SENTINEL_2_DATES:
        raise InvalidInput(f"{images[0].name}: {events[0]!r} is no event of Sen1Floods11, so its date is not known")
    return EventFiles(events[0], SENTINEL_2_DATES[events[0]], images, labels)
