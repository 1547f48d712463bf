"""Seconds to add, check out and change by 1 % a dataset version, against the `dvc` command on the same files.

Both sides are commands of their own, started anew for every step, interpreter and imports included; `in_process` is
ours in a process that runs already, as a flow does. DVC is measured as it comes (copies) and with hard links, and a
change as `dvc add` of the folder and of the changed files by name, which is faster for few; both are shown.
Ours includes the commit in git, DVC's does not. Equal results are checked in every round: the tree's hash is DVC's,
checkouts have the same bytes, and plain `dvc pull` restores what ours wrote and finds nothing to do.

    python -m tests.benchmarks.datasets.bench_versions --out DIR [--files 10000] [--size 16384] [--rounds 3]
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from terralab.catalog.folder_store import FolderStore
from terralab.datasets.dvc_repository import DVC_FILE, VersionRepository, dvc_file
from terralab.datasets.versioning.checkout import check_out
from terralab.datasets.versioning.frozen_version import FrozenVersion
from terralab.datasets.versioning.intake import Source, take_in
from terralab.datasets.versioning.tree_layout import TreeLayout
from terralab.datasets.versioning.verification import Verifier
from terralab.datasets.versions import manifest_bytes, tree_hash

DVC = str(Path(sys.executable).with_name("dvc"))
STEPS = ("add", "checkout", "change")
_VARIANTS = ("copy", "hardlink")
_MUST, _AIM = {"add": 3, "checkout": 5, "change": 5}, {"add": 5, "checkout": 20, "change": 10}


class Ours:
    """A store and its repository of versions in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = FolderStore(folder / "store")
        self.work = folder / "work"

    def add(self, source: Path, tag: str, only: list[str] | None = None) -> str:
        """Freeze the files of a folder; of those that are not in `only` the last version's entries are kept."""
        known = {} if only is None else {file["relpath"]: file for file in self.version().files}
        paths = only if only is not None else sorted(_relpaths(source))
        taken = take_in(self.store, [Source(f"{source}/{path}") for path in paths])
        Verifier(self.store, self.work).trust([one.md5 for one in taken])
        for path, one in zip(paths, taken, strict=True):
            known[path] = {"relpath": path, "md5": one.md5, "size": one.size}
        files = [known[path] for path in sorted(known)]
        manifest = {"dataset": "ponds", "version": tag.removeprefix("v"), "files": files, "chips": []}
        text, tree = manifest_bytes(manifest), tree_hash(files)
        repository = VersionRepository(self.folder / "versions", self.store, self.work)
        tracked = dvc_file(repository.write_trees(files))
        repository.commit("ponds", tag, {DVC_FILE: tracked, "manifest.json": text})
        stored = self.store.put_bytes(text, "manifest.json")
        (self.folder / "version.json").write_text(json.dumps({"href": stored.href, "tree": tree}))
        return tree

    def check_out(self, target: Path) -> None:
        """Check the last version out."""
        check_out(self.version(), target, self.work)

    def version(self) -> FrozenVersion:
        """Return the last version."""
        return _BareVersion({}, self.store, **json.loads((self.folder / "version.json").read_text()))


class _BareVersion(FrozenVersion):
    """A version without a catalog."""

    def __init__(self, item: Any, store: FolderStore, href: str, tree: str) -> None:
        super().__init__(item, store)
        manifest = type("File", (), {"href": href})
        self.__dict__["record"] = type(
            "Record", (), {"dvc_tree": tree, "dataset": "ponds", "version": "1.0.0", "manifest": manifest}
        )


class Dvc:
    """A repository of DVC in a folder, with the files in `chips`."""

    def __init__(self, folder: Path, source: Path, link: str) -> None:
        self.folder = folder
        folder.mkdir()
        self.environment = {
            **os.environ, "HOME": str(folder), "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(folder / "site"),
        }  # fmt: skip
        self.run("git", "init", "-q", ".")
        self.run(DVC, "init", "-q")
        self.run(DVC, "config", "cache.type", link)
        shutil.copytree(source, folder / "chips")

    def run(self, *command: str) -> str:
        """Run a command in it."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{command[:3]} failed: {done.stdout}{done.stderr}")
        return done.stdout

    @property
    def tree(self) -> str:
        """Return the hash of its tree."""
        text = (self.folder / "chips.dvc").read_text()
        return text.split("md5: ", 1)[1].split("\n", 1)[0]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=16_384)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="where the files are written")
    parser.add_argument("--step", nargs=3, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        _step(*options.step)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        source, layout = Path(name) / "source", TreeLayout.of_count(options.files)
        changed = _write(source, options.files, options.size, layout)
        rounds = [_round(Path(name) / f"round-{number}", source, changed, layout) for number in range(options.rounds)]
    result = {"benchmark": "versions", "files": options.files, "size": options.size, "rounds": rounds, "equal": True}
    result["ratios"] = {ours: _ratios(rounds, ours) for ours in ("ours", "in_process")}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"versions-{options.files}.json").write_text(json.dumps(result, indent=1) + "\n")
    table = _table(result)
    (options.out / f"versions-{options.files}.md").write_text(table)
    print(table)


def _step(what: str, folder: str, argument: str) -> None:
    """Do one step of ours: what the parent process measures."""
    ours = Ours(Path(folder))
    started = time.perf_counter()
    if what == "add":
        ours.add(Path(argument), "v1.0.0")
    elif what == "change":
        ours.add(Path(argument), "v1.1.0", json.loads(Path(folder, "changed.json").read_text()))
    else:
        ours.check_out(Path(argument))
    print(time.perf_counter() - started)


def _write(source: Path, count: int, size: int, layout: TreeLayout) -> dict[str, bytes]:
    """Write random files, and return what every hundredth is to be changed to."""
    random, changed = np.random.default_rng(1), {}
    for number in range(count):
        id = f"chip-{number // 2:06d}"
        path = f"{'images' if number % 2 else 'masks'}/{id}.tif"
        path = f"{layout.shard(id)}/{path}" if layout.digits else path
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(random.bytes(size))
        if number % 100 == 0:
            changed[path] = random.bytes(size)
    return changed


def _round(folder: Path, source: Path, changed: dict[str, bytes], layout: TreeLayout) -> dict[str, Any]:
    """Measure all steps once, one side after the other in each."""
    folder.mkdir()
    ours = Ours(folder / "ours")
    ours.folder.mkdir()
    (ours.folder / "changed.json").write_text(json.dumps(sorted(changed)))
    dvcs = {link: Dvc(folder / f"dvc-{link}", source, link) for link in _VARIANTS}
    own = Path(shutil.copytree(source, folder / "own"))
    seconds: dict[str, dict[str, float]] = {step: {} for step in STEPS}
    os.sync()
    seconds["add"] |= _ours("add", ours, own)
    for link, dvc in dvcs.items():
        seconds["add"][f"dvc {link}"] = _timed(dvc.run, DVC, "add", "chips")
        _equal(dvc.tree, ours.version().record.dvc_tree)
    seconds["checkout"] |= _ours("checkout", ours, folder / "out")
    for link, dvc in dvcs.items():
        shutil.rmtree(dvc.folder / "chips")
        seconds["checkout"][f"dvc {link}"] = _timed(dvc.run, DVC, "checkout", "chips.dvc")
        _same_files(dvc.folder / "chips", folder / "out")
    _change(own, changed)
    seconds["change"] |= _ours("change", ours, own)
    for link, dvc in dvcs.items():
        _change(dvc.folder / "chips", changed)
        names = [f"chips/{path}" for path in changed]
        if link == "copy":
            seconds["change"]["dvc copy, by name"] = _timed(dvc.run, DVC, "add", *names)
        else:
            seconds["change"][f"dvc {link}, folder"] = _timed(dvc.run, DVC, "add", "chips")
        _equal(dvc.tree, ours.version().record.dvc_tree)
    _pull(ours, folder / "clone", own)
    shutil.rmtree(folder)
    return seconds


def _ours(step: str, ours: Ours, argument: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.datasets.bench_versions", "--step", step]
    said: list[str] = []

    def run() -> None:
        done = subprocess.run([*command, str(ours.folder), str(argument)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        said.append(done.stdout)

    return {"ours": _timed(run), "in_process": float(said[0])}


def _pull(ours: Ours, clone: Path, source: Path) -> None:
    """Let plain DVC restore our version from our store as a remote."""
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(clone.parent / "site")}

    def run(folder: Path, *command: str) -> str:
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout

    run(clone.parent, "git", "clone", "-q", str(ours.folder / "versions"), str(clone))
    run(clone, DVC, "remote", "add", "--local", "--default", "here", str(ours.store.folder))
    run(clone, DVC, "pull")
    _same_files(clone / "ponds" / "chips", source)
    if "up to date" not in run(clone, DVC, "status"):
        raise SystemExit("dvc status finds changes in what ours wrote")


def _change(folder: Path, changed: dict[str, bytes]) -> None:
    for path, content in changed.items():
        (folder / path).unlink()
        (folder / path).write_bytes(content)


def _relpaths(folder: Path) -> list[str]:
    return [os.path.relpath(os.path.join(place, name), folder) for place, _, names in os.walk(folder) for name in names]


def _same_files(one: Path, other: Path) -> None:
    """Compare two folders byte by byte, but for what a checkout adds."""
    paths = sorted(_relpaths(one))
    _equal(paths, sorted(path for path in _relpaths(other) if "/" in path))
    for path in paths:
        _equal((one / path).read_bytes(), (other / path).read_bytes())


def _equal(one: Any, other: Any) -> None:
    if one != other:
        raise SystemExit(f"the results differ: {str(one)[:200]} and {str(other)[:200]}")


def _timed(work: Callable[..., Any], *arguments: str) -> float:
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started


def _ratios(rounds: list[dict[str, Any]], ours: str) -> dict[str, dict[str, float]]:
    """Return how many times as long as ours each other takes, as the median over the rounds."""
    return {
        step: {
            name: statistics.median(one[step][name] / one[step][ours] for one in rounds)
            for name in rounds[0][step]
            if name.startswith("dvc")
        }
        for step in STEPS
    }


def _table(result: dict[str, Any]) -> str:
    lines = [
        f"{result['files']} files of {result['size']} bytes, {len(result['rounds'])} rounds, medians in seconds", "",
        "| step | who | seconds | times ours as a command | times ours in process | must | aim |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for step in STEPS:
        for name in result["rounds"][0][step]:
            seconds = statistics.median(one[step][name] for one in result["rounds"])
            ratios = [result["ratios"][ours][step].get(name) for ours in ("ours", "in_process")]
            shown = [f"{ratio:.1f}" if ratio else "" for ratio in ratios]
            lines.append(f"| {step} | {name} | {seconds:.2f} | {' | '.join(shown)} | {_MUST[step]} | {_AIM[step]} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
