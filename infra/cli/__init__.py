"""The command line. Commands are in one module for each noun; nothing heavy is imported before a command needs it."""

import sys


def main() -> None:
    """Run the command line: an error of the lab is one line on standard error and an exit code, never a traceback."""
    from terralab.catalog.errors import LabError
    from terralab.infra.cli.app import app
    from terralab.infra.cli.exit_codes import exit_code

    try:
        app()
    except LabError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        sys.exit(exit_code(error))
