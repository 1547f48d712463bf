"""The settings page of the documentation, made from the settings classes.

`python -m terralab.infra.settings_reference` prints it.
"""

import sys

from terralab.catalog.settings import SETTINGS_CLASSES

_HEAD = """# Settings

All settings are environment variables. This page is made from the code by `make docs`.
"""


def settings_page() -> str:
    """Return the page as Markdown."""
    lines = [_HEAD]
    for settings_class in SETTINGS_CLASSES:
        lines += [
            f"## {(settings_class.__doc__ or '').strip()}",
            "",
            "| variable | default | meaning |",
            "|---|---|---|",
        ]
        prefix = settings_class.model_config["env_prefix"]
        for name, field in settings_class.model_fields.items():
            default = "" if field.default in (None, "") else f"`{field.default}`"
            lines.append(f"| `{prefix}{name.upper()}` | {default} | {field.description} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(settings_page())
