"""`terralab datasets split`: which chips a model trains on, and which test it."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from terralab.infra.cli.flow_command import run_and_print
from terralab.infra.cli.output import AsJson

Method = Literal["block", "random", "group", "distance", "year", "stratified", "given"]
_METHODS = (
    "Blocks of chips, single chips, whole scenes or places, parts that lie apart, years, equal shares of the classes,"
    " or as given."
)
_YEARS = "for the method `year`: such as `2017,2019-2021`."


def split(
    name: Annotated[str, typer.Argument(help="Name of the dataset.", show_default=False)],
    method: Annotated[Method, typer.Option(help=_METHODS)] = "block",
    train_share: Annotated[float, typer.Option(help="Share of the chips to train on.")] = 0.6,
    validate_share: Annotated[float, typer.Option(help="Share to validate with.")] = 0.2,
    test_share: Annotated[float, typer.Option(help="Share to test with.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
    block_size: Annotated[
        int | None, typer.Option(help="Chips along a block's side.", show_default="chosen by the size of the dataset")
    ] = None,
    buffer: Annotated[
        float,
        typer.Option(
            help="Leave out train chips nearer than this to others, metres; with the method `distance` or with folds"
            " no two parts are nearer."
        ),
    ] = 0.0,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Property of the chips whose values stay together, such as `place`, for the methods `group` and"
            " `stratified`.",
            show_default="scene; single chips where stratified",
        ),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="Folds of a cross validation, instead of shares.", show_default="one split")
    ] = None,
    train_years: Annotated[
        str | None, typer.Option(help=f"Years to train on, {_YEARS}", show_default="the first, by the shares")
    ] = None,
    validate_years: Annotated[str | None, typer.Option(help="Years to validate with.", show_default=False)] = None,
    test_years: Annotated[str | None, typer.Option(help="Years to test with.", show_default=False)] = None,
    given: Annotated[
        Path | None,
        typer.Option(
            help="For the method `given`: JSON of chip id → split, or CSV with the columns id and split.",
            show_default="the split that the chips came with",
        ),
    ] = None,
    given_by: Annotated[str, typer.Option(help="Property with the split that the chips came with.")] = "split",
    as_json: AsJson = False,
) -> None:
    """Assign the chips to train, validate and test, so that the test is fair, and report what they share."""
    parameters = {
        "name": name,
        "method": method,
        "train_share": train_share,
        "validate_share": validate_share,
        "test_share": test_share,
        "seed": seed,
        "block_size": block_size,
        "buffer": buffer,
        "group_by": group_by,
        "folds": folds,
        "train_years": read_years("--train-years", train_years),
        "validate_years": read_years("--validate-years", validate_years),
        "test_years": read_years("--test-years", test_years),
        "given": _staged(given) if given else None,
        "given_by": given_by,
    }
    run_and_print("split", parameters, as_json)


def read_years(option: str, text: str | None) -> list[int] | None:
    """Return the years that a text such as `2017,2019-2021` names, None for none.

    Raises:
        InvalidInput: it is something else.
    """
    from terralab.catalog.errors import InvalidInput

    years: list[int] = []
    for part in (text or "").replace(" ", "").split(","):
        first, _, last = part.partition("-")
        ends = [first, last or first]
        if not part:
            continue
        if not all(len(end) == 4 and end.isdecimal() for end in ends) or int(ends[0]) > int(ends[1]):
            raise InvalidInput(f"{option}: {part!r} is no year and no range of years, such as 2019-2021")
        years.extend(range(int(ends[0]), int(ends[1]) + 1))
    return years or None


def _staged(given: Path) -> str:
    """Check a file with an assignment, and put it into the inbox, where the flow reads it."""
    from terralab.catalog.inbox import stage
    from terralab.catalog.settings import Settings
    from terralab.datasets.splitting.given import read_given_file

    read_given_file(given)
    return stage(Settings(), [given])
