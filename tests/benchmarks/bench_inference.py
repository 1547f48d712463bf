"""Tiled inference: the lab's engine and TerraTorch's `tiled_inference`, with the same network on the same array.

`python tests/benchmarks/bench_inference.py [--size 2048] [--threads 2]` prints one JSON object. Each way runs in a
process of its own, which is forked after TerraTorch is imported, so peak memory counts the inference alone. Agreement
of the class maps is checked too: with one forward over a part of the image, and with TerraTorch. CPU seconds stand
beside wall seconds because they hardly change when other work shares the machine.
"""

import argparse
import json
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

BANDS, CLASSES = 6, 3
WAYS = {
    "terratorch_224_192": ("terratorch", 224, 32),
    "terralab_224_32": ("terralab", 224, 32),
    "terralab_256_32": ("terralab", 256, 32),
    "terralab_512_32": ("terralab", 512, 32),
}


def scene(size: int) -> np.ndarray:
    """Return (6, size, size) float32, scaled: smooth fields with noise, the same for every way."""
    random = np.random.default_rng(0)
    coarse = random.normal(size=(BANDS, size // 32 + 1, size // 32 + 1)).astype(np.float32)
    smooth = np.repeat(np.repeat(coarse, 32, axis=1), 32, axis=2)[:, :size, :size]
    return np.ascontiguousarray(smooth + 0.2 * random.normal(size=(BANDS, size, size)).astype(np.float32))


def build_network() -> Any:
    """Return a TerraTorch UNet on a ResNet-18, 14 million weights, with weights that are random but the same."""
    import torch
    from terratorch.models import EncoderDecoderFactory

    torch.manual_seed(0)
    return (
        EncoderDecoderFactory()
        .build_model(
            task="segmentation",
            backbone="timm_resnet18",
            backbone_pretrained=False,
            backbone_in_chans=BANDS,
            necks=[{"name": "SelectIndices", "indices": [1, 2, 3, 4]}],
            decoder="UNetDecoder",
            decoder_channels=[256, 128, 64, 32],
            num_classes=CLASSES,
        )
        .eval()
    )


class Logits:
    """The network's logits without TerraTorch's output object."""

    def __new__(cls, module: Any) -> Any:
        import torch

        class Plain(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.module = module

            def forward(self, pixels: Any) -> Any:
                return self.module(pixels).output

        return Plain()


def by_terratorch(module: Any, pixels: np.ndarray, crop: int, overlap: int, batch: int) -> np.ndarray:
    import torch
    from terratorch.tasks.tiled_inference import tiled_inference

    with torch.inference_mode():
        logits = tiled_inference(
            module, torch.from_numpy(pixels)[None], crop=crop, stride=crop - overlap, delta=8, batch_size=batch
        )
    return logits[0].argmax(0).to(torch.uint8).numpy()


def by_terralab(module: Any, pixels: np.ndarray, crop: int, overlap: int, batch: int) -> np.ndarray:
    from terralab.flows.inference.engine import predict_rows
    from terralab.flows.inference.network import torch_network
    from terralab.flows.inference.windows import plan_windows

    def read(row: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
        part = pixels[:, row : row + rows]
        return part, np.ones(part.shape[1:], bool)

    plan = plan_windows(pixels.shape[1:], crop, overlap)
    rows = predict_rows(read, torch_network(module), plan, range(CLASSES), batch_size=batch)
    return np.concatenate([part.classes for part in rows])


def peak_memory(reset: bool = False) -> int:
    """Return the process's peak memory in kB, counted from now on where `reset` is set (Linux)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def measure(way: str, size: int, batch: int, threads: int, pipe: Any) -> None:
    import torch

    torch.set_num_threads(threads)
    package, crop, overlap = WAYS[way]
    run = {"terratorch": by_terratorch, "terralab": by_terralab}[package]
    module, pixels = Logits(build_network()).eval(), scene(size)
    run(module, pixels[:, :crop, : 2 * crop], crop, overlap, batch)  # warm up
    before = peak_memory(reset=True)
    started, busy = time.perf_counter(), time.process_time()
    classes = run(module, pixels, crop, overlap, batch)
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    after = peak_memory()
    with torch.inference_mode():
        part = min(size, 1024)
        whole = module(torch.from_numpy(pixels[None, :, :part, :part]))[0].argmax(0).numpy()
    inner = slice(0, part - 64)
    facts = {
        "seconds": round(seconds, 2),
        "mpix_per_s": round(size * size / 1e6 / seconds, 3),
        "cpu_seconds": round(busy, 2),
        "peak_rss_over_input_mb": round((after - before) / 1024),
        "agreement_with_one_forward": round(float((whole == classes[:part, :part])[inner, inner].mean()), 5),
    }
    pipe.send((facts, classes))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    import terratorch.models  # noqa: F401  # once, before the forks

    results, maps = {}, {}
    for way in WAYS:
        here, there = multiprocessing.get_context("fork").Pipe()
        child = multiprocessing.get_context("fork").Process(
            target=measure, args=(way, arguments.size, arguments.batch, arguments.threads, there)
        )
        child.start()
        results[way], maps[way] = here.recv()
        child.join()
    peer = maps["terratorch_224_192"]
    for way, facts in results.items():
        facts["agreement_with_terratorch"] = round(float((maps[way] == peer).mean()), 5)
    json.dump(
        {"size": arguments.size, "bands": BANDS, "threads": arguments.threads, "ways": results}, sys.stdout, indent=1
    )
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
