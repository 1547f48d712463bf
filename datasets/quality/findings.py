"""All findings of a dataset, the weightiest first."""

from terralab.datasets.quality.facts import Facts
from terralab.datasets.quality.finding import Finding, Weight
from terralab.datasets.quality.findings_of_chips import findings_of_chips
from terralab.datasets.quality.findings_of_dataset import findings_of_dataset


def findings(facts: Facts) -> list[Finding]:
    """Return the findings: faults, then warnings, then notes."""
    order = list(Weight)
    found = [*findings_of_chips(facts), *findings_of_dataset(facts)]
    return sorted(found, key=lambda finding: order.index(finding.weight))
