"""A process that has imported what flows need, and forks itself for every flow run.

`import terratorch` takes 20 seconds, `import prefect` two. A warm process pays once; a run that it forks starts in
milliseconds, with its own memory, environment and process group, so that a run can be killed, or die, alone.

The worker and the warm process talk over a socket, one JSON object a line:

    worker → warm process    {"run": id, "environment": {...}}
    warm process → worker    {"ready": true}    {"run": id, "pid": 123}    {"run": id, "exit": 0}

The process has one thread, which makes forking safe. When its worker dies it sees the socket's end, or gets the
signal of the kernel (Linux), and so do its runs: nothing goes on unobserved.
"""

import atexit
import ctypes
import gc
import json
import logging
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NoReturn

from terralab.catalog.errors import SetupProblem

_PR_SET_PDEATHSIG = 1
_UNSAFE_VARIABLE = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
_log = logging.getLogger("terralab.warm_process")


def serve(channel: socket.socket, modules: Sequence[str]) -> None:
    """Import `modules`, then fork a child for every run that the worker asks for, until the worker goes away."""
    die_with_parent()
    with unchanged_environment():
        _import_all(modules)
    # What is imported never becomes garbage: leave it out of every child's collections, and so its memory shared.
    gc.freeze()
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    runs: dict[int, str] = {}
    tell(channel, {"ready": True})
    unread = b""
    while True:
        ready, _, _ = select.select([channel.fileno(), wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
            for pid, code in _ended(runs):
                tell(channel, {"run": runs.pop(pid), "exit": code})
        if channel.fileno() in ready:
            received = channel.recv(1 << 16)
            if not received:
                return
            *lines, unread = (unread + received).split(b"\n")
            for line in lines:
                order = json.loads(line)
                pid = _fork(channel, order)
                runs[pid] = order["run"]
                tell(channel, {"run": order["run"], "pid": pid})


def run_flow(flow_run: str) -> None:
    """Do what `python -m prefect.engine` does: load the flow of a flow run and run it.

    Args:
        flow_run: id of the flow run; `PREFECT__FLOW_RUN_ID` is set to it.
    """
    from uuid import UUID

    from prefect._internal.control_listener import configure_from_env
    from prefect.engine import handle_engine_signals
    from prefect.flow_engine import load_flow, load_flow_run
    from prefect.flow_engine import run_flow as run_prefect_flow
    from prefect.logging.loggers import flow_run_logger

    flow_run_id = UUID(flow_run)
    configure_from_env()
    with handle_engine_signals(flow_run_id):
        record = load_flow_run(flow_run_id=flow_run_id)
        log = flow_run_logger(flow_run=record)
        try:
            flow = load_flow(record)
        except Exception:
            log.exception("The flow cannot be loaded")
            raise
        run_prefect_flow(flow, flow_run=record, error_logger=log.logger)


def refuse_unsafe_checkpoints() -> None:
    """Check that `torch.load` will refuse code in checkpoints.

    Raises:
        SetupProblem: the environment switches that protection off.
    """
    if os.environ.get(_UNSAFE_VARIABLE, "").lower() in {"1", "y", "yes", "true"}:
        raise SetupProblem(
            f"{_UNSAFE_VARIABLE} is set: loading a checkpoint could run code that is hidden in it; unset the variable"
        )


def tell(channel: socket.socket, message: dict[str, Any]) -> None:
    """Send one message."""
    channel.sendall(json.dumps(message).encode() + b"\n")


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, however that happens (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def unchanged_environment() -> Iterator[None]:
    """Undo what imports do to the environment variables and the root logger.

    TerraTorch and TerraKit set `GDAL_*`, `CPL_*` and `AWS_NO_SIGN_REQUEST`, which change how later code reads files,
    and TerraKit removes the root logger's handlers.
    """
    variables, root = dict(os.environ), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        for name in set(os.environ) - set(variables):
            del os.environ[name]
        os.environ.update(variables)
        root.handlers[:] = handlers
        root.setLevel(level)


def _import_all(modules: Sequence[str]) -> None:
    for module in modules:
        try:
            import_module(module)
        except ImportError as error:
            # A part that is not installed must not stop the others; a run that needs it says so itself.
            _log.warning("%s is not imported in advance: %s", module, error)


def _fork(channel: socket.socket, order: dict[str, Any]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    warm = os.getpid()
    pid = os.fork()
    if pid:
        try:
            os.setpgid(pid, pid)
        except OSError:
            # The child was faster, or has ended already.
            pass
        return pid
    _become_run(channel, order, warm)


def _become_run(channel: socket.socket, order: dict[str, Any], warm: int) -> NoReturn:
    """Turn the forked child into the flow run; never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        die_with_parent()
        if os.getppid() != warm:
            raise SystemExit(code)  # the warm process ended before the kernel was told
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        channel.close()
        os.environ.update(order["environment"])
        _use_threads()
        run_flow(order["run"])
        code = 0
    except SystemExit as exit_request:
        code = exit_request.code if isinstance(exit_request.code, int) else int(exit_request.code is not None)
    except BaseException:
        _log.exception("flow run %s ended by an error outside the flow", order["run"])
    finally:
        # Prefect sends its last logs and events in exit functions. The rest of Python's shutdown would only tear down
        # what the warm process imported.
        atexit._run_exitfuncs()
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _use_threads() -> None:
    """Give torch, where it is imported, the number of threads of this run; OpenMP read the variable long ago."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def _ended(runs: dict[int, str]) -> Iterator[tuple[int, int]]:
    """Yield (pid, exit code) of the children that ended; a negative code is the signal that killed it."""
    for pid in list(runs):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            yield pid, os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # One line for each call of Prefect's API says nothing to a reader.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
