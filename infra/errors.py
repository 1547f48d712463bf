"""Errors of running the lab, besides those of `terralab.catalog.errors`.

SetupProblem
├── PortBusy            another program listens on a port that the lab needs
├── FolderUnwritable    the lab's folder cannot be made or written
└── AlreadyRunning      this lab runs already
LabError
├── StartFailed         a part of the lab does not come up
├── RunCrashed          the process of a flow run ended without a word
└── RunCancelled        a flow run was cancelled
"""

from terralab.catalog.errors import LabError, SetupProblem


class PortBusy(SetupProblem):
    """Another program listens on a port that the lab needs."""

    code = "port_busy"


class FolderUnwritable(SetupProblem):
    """The lab's folder cannot be made or written."""

    code = "folder_unwritable"


class AlreadyRunning(SetupProblem):
    """This lab runs already."""

    code = "already_running"


class StartFailed(LabError):
    """A part of the lab does not come up."""

    code = "start_failed"


class RunCrashed(LabError):
    """The process of a flow run ended without a word."""

    code = "run_crashed"


class RunCancelled(LabError):
    """A flow run was cancelled."""

    code = "run_cancelled"
