"""The request of the split flow."""

from pydantic import BaseModel, Field, model_validator

from terralab.datasets.splitting.recipe import SplitMethod, SplitRecipe
from terralab.extensions.chips import SPLITS

_SUM_TOLERANCE = 1e-6
_DEFAULT_SHARES = (0.6, 0.2, 0.2)
_GROUPED = (SplitMethod.GROUP, SplitMethod.STRATIFIED)


class SplitRequest(BaseModel):
    """Which dataset to split, and how."""

    name: str = Field(min_length=1, description="Name of the dataset.")
    method: SplitMethod = Field(default=SplitMethod.BLOCK, description="How chips are assigned.")
    train_share: float = Field(default=0.6, ge=0, le=1, description="Share of the chips to train on.")
    validate_share: float = Field(default=0.2, ge=0, le=1, description="Share to validate with.")
    test_share: float = Field(default=0.2, ge=0, le=1, description="Share to test with.")
    seed: int = Field(default=0, ge=0, description="Seed of all random choices.")
    block_size: int | None = Field(default=None, ge=1, le=1000, description="Chips along a block's side.")
    buffer: float = Field(
        default=0.0, ge=0, le=20_000_000, allow_inf_nan=False, description="Metres to keep the splits apart."
    )
    group_by: str | None = Field(
        default=None, min_length=1, description="Property of the chips to group by; scenes by default."
    )
    folds: int | None = Field(default=None, ge=2, le=100, description="Folds of a cross validation.")
    train_years: list[int] | None = Field(default=None, description="Years to train on, for the method `year`.")
    validate_years: list[int] | None = Field(default=None, description="Years to validate with.")
    test_years: list[int] | None = Field(default=None, description="Years to test with.")
    given: dict[str, str] | str | None = Field(
        default=None, description="Chip id → split, for the method `given`; or a JSON or CSV file of that in the inbox."
    )
    given_by: str = Field(default="split", min_length=1, description="Property with the split that chips came with.")

    @model_validator(mode="after")
    def _fits(self) -> "SplitRequest":
        total = sum(self._shares)
        if abs(total - 1) > _SUM_TOLERANCE:
            raise ValueError(f"train_share, validate_share and test_share must add up to 1, not {total:g}")
        if self.given and self.method is not SplitMethod.GIVEN:
            raise ValueError("only the method `given` takes an assignment (chip id → split)")
        if self.years is not None and self.method is not SplitMethod.YEAR:
            raise ValueError("only the method `year` takes years")
        if self.group_by and self.method not in _GROUPED:
            raise ValueError("group_by belongs to the methods `group` and `stratified`")
        if self.block_size and self.method is not SplitMethod.BLOCK:
            raise ValueError("block_size belongs to the method `block`")
        if self.method is SplitMethod.DISTANCE and self.buffer <= 0:
            raise ValueError("the method `distance` needs `buffer`: how many metres to keep the splits apart")
        if self.folds and self._shares != _DEFAULT_SHARES:
            raise ValueError("folds are of equal size; leave the shares out")
        if self.folds and self.method is SplitMethod.GIVEN:
            raise ValueError("a given split has no folds")
        return self

    @property
    def _shares(self) -> tuple[float, float, float]:
        return self.train_share, self.validate_share, self.test_share

    @property
    def years(self) -> dict[int, str] | None:
        """Return year → split, None where none is given.

        Raises:
            ValueError: a year is in two splits.
        """
        found: dict[int, str] = {}
        for name, years in zip(SPLITS, (self.train_years, self.validate_years, self.test_years), strict=True):
            for year in years or ():
                if found.setdefault(year, name) != name:
                    raise ValueError(f"the year {year} is given to {found[year]} and to {name}")
        return found or None

    def recipe(self, given: dict[str, str] | None) -> SplitRecipe:
        """Return how to split.

        Args:
            given: the assignment, if any; read where it came in a file.
        """
        return SplitRecipe(
            self.method,
            self.seed,
            self._shares,
            self.block_size,
            self.buffer,
            self.folds,
            self.years,
            given,
        )
