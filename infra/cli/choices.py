"""`terralab templates` and `terralab backbones`: what a model can be tuned from."""

from dataclasses import asdict

from terralab.infra.cli.output import AsJson, print_json, print_table


def templates(as_json: AsJson = False) -> None:
    """List the tuning templates."""
    from terralab.flows.tuning.templates import TEMPLATES

    if as_json:
        print_json([asdict(template) for template in TEMPLATES.values()])
        return
    rows = [(entry.name, entry.backbone, entry.description) for entry in TEMPLATES.values()]
    print_table(("template", "backbone", "what it is"), rows)


def backbones(as_json: AsJson = False) -> None:
    """List the backbones that the lab was tried with."""
    from terralab.flows.tuning.backbones import BACKBONES

    if as_json:
        print_json([asdict(backbone) for backbone in BACKBONES.values()])
        return
    rows = [(entry.name, entry.family.value) for entry in BACKBONES.values()]
    print_table(("backbone", "family"), rows)
