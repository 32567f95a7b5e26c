"""Trains the plate recogniser on drawn plates and, with --real, on half of a folder of real crops; CPU is enough.

Usage: .venv/bin/python models/plates/train.py OUT [--hours H] [--real FOLDER] [--passages] [--workers N] [--threads N]
With --passages most plates are seen as a gate's camera sees them (passages.py); without, they are spoiled singly.
OUT/checkpoint.pt is written as it goes: the same command goes on from there. OUT/plates.onnx is the result.
"""

import argparse
import hashlib
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from network import HEIGHT, STEPS, WIDTH, PlateNet
from passages import reads
from render import draw, random_kind, random_text, spoil
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from gateway.vision.grammar import ALPHABET
from gateway.vision.rows import one_row

Picture = npt.NDArray[np.uint8]
BATCH = 96
TOLD = 250  # steps between two lines and checkpoints
PEAK_RATE = 2.5e-3
REAL_SHARE = 0.35
PASSAGE_SHARES = (0.4, 0.8)  # with --passages: of real crops, and of these and crops of passages
AVERAGE = 0.999  # of the weights that are kept
LONGEST = 8
INDEX = {symbol: place for place, symbol in enumerate(ALPHABET, 1)}


def held_out(name: str) -> bool:
    """Whether a real crop is for the test; by its name alone, so that it is the same everywhere."""
    return bool(hashlib.sha256(name.encode()).digest()[0] & 1)


def real_crops(folder: Path, *, test: bool) -> list[tuple[str, Picture]]:
    """Text and BGR picture of the crops of one half."""
    paths = [path for path in sorted(folder.glob("*.jpg")) if held_out(path.stem) == test]
    return [(path.stem, cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)) for path in paths]  # type: ignore[misc]


def sample(chance: random.Random, level: float, split: str = "train") -> tuple[Picture, str, str]:
    """Draw and spoil one plate: the recogniser's crop, its text and its kind (with ``/2`` for two rows)."""
    kind = random_kind(chance)
    plate = draw(random_text(kind, chance), kind, chance, split)
    if plate.double:
        crop = one_row(spoil(plate.picture, (WIDTH, 2 * HEIGHT), chance, level), WIDTH, HEIGHT)
        return crop, plate.text, f"{kind}/2"
    return spoil(plate.picture, (WIDTH, HEIGHT), chance, level), plate.text, kind


def tensor(crop: Picture) -> npt.NDArray[np.float32]:
    """(3, 40, 144), BGR from -1 to 1."""
    return np.ascontiguousarray((crop.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1))


def label(text: str) -> npt.NDArray[np.int64]:
    """Columns of the characters, filled up with 0."""
    return np.array([INDEX[symbol] for symbol in text] + [0] * (LONGEST - len(text)), np.int64)


class Plates(IterableDataset[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], int]]):
    """Endless training samples; ``hardest`` (0 to 1) is how far those go that are spoiled singly."""

    def __init__(self, seed: int, real: list[tuple[str, Picture]], hardest: float, *, passages: bool) -> None:
        self.seed, self.real, self.hardest, self.passages = seed, real, hardest, passages

    def __iter__(self) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], int]]:
        cv2.setNumThreads(1)
        worker = get_worker_info()
        chance = random.Random(self.seed * 1000 + (worker.id if worker else 0))
        gate = _looks(chance)
        real, passing = PASSAGE_SHARES if self.passages else (REAL_SHARE, 0.0)
        while True:
            which = chance.random()
            if self.real and which < real:
                text, crop = chance.choice(self.real)
                larger = cv2.resize(crop, (WIDTH + 40, HEIGHT + 12), interpolation=cv2.INTER_CUBIC)
                picture = spoil(larger, (WIDTH, HEIGHT), chance, chance.uniform(0, 0.45))
            elif which < passing:
                picture, text = next(gate)
            else:
                picture, text, _ = sample(chance, chance.uniform(0, self.hardest))
            yield tensor(picture), label(text), len(text)


def _looks(chance: random.Random) -> Iterator[tuple[Picture, str]]:
    while True:
        yield from reads(chance, (WIDTH, HEIGHT))


def texts_of(logits: Tensor) -> list[str]:
    """Greedy decoding."""
    found = []
    for path in logits.argmax(-1).tolist():
        kept = [step for place, step in enumerate(path) if step and (place == 0 or step != path[place - 1])]
        found.append("".join(ALPHABET[step - 1] for step in kept))
    return found


def validate(model: PlateNet, plates: list[tuple[Picture, str]]) -> float:
    """Share of plates that greedy decoding reads exactly."""
    model.eval()
    right = 0
    with torch.no_grad():
        for start in range(0, len(plates), 128):
            part = plates[start : start + 128]
            logits = model(torch.from_numpy(np.stack([tensor(crop) for crop, _ in part])))
            right += sum(text == wanted for text, (_, wanted) in zip(texts_of(logits), part, strict=True))
    return right / max(1, len(plates))


def export(model: PlateNet, target: Path) -> None:
    """Write ONNX; the alphabet travels as metadata."""
    import onnx

    model.eval()
    model.export = True
    torch.onnx.export(
        model,
        (torch.zeros(1, 3, HEIGHT, WIDTH),),
        str(target),
        input_names=["plate"],
        output_names=["steps"],
        dynamic_axes={"plate": {0: "n"}, "steps": {0: "n"}},
        opset_version=17,
        dynamo=False,
    )
    model.export = False
    written = onnx.load(str(target))
    entry = written.metadata_props.add()
    entry.key, entry.value = "alphabet", ALPHABET
    onnx.save(written, str(target))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--passages", action="store_true")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    cv2.setNumThreads(1)

    real = real_crops(options.real, test=False) if options.real else []
    real_test = [
        (cv2.resize(crop, (WIDTH, HEIGHT)), text)
        for text, crop in (real_crops(options.real, test=True) if options.real else [])
    ]
    dice = random.Random(77)
    drawn_test = [sample(dice, 0.6, "test")[:2] for _ in range(600)]

    # Channels last: half the time of a step on a CPU.
    model, average = PlateNet().to(memory_format=torch.channels_last), PlateNet()
    rate = PEAK_RATE
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01, betas=(0.9, 0.98))
    spent, steps = 0.0, 0
    kept = options.out / "checkpoint.pt"
    if kept.exists():
        state = torch.load(kept, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        spent, steps = state["spent"], state["steps"]
    else:
        average.load_state_dict(model.state_dict())

    goal = options.hours * 3600
    seen, loss_sum = 0, 0.0
    began = told = time.monotonic()
    while spent < goal:
        # A new set of workers every ten minutes takes over how hard the plates may be.
        hardest = 0.35 + 0.55 * min(1.0, spent / (0.35 * goal))
        loader = iter(
            DataLoader(
                Plates(steps + 1, real if spent > 0.1 * goal else [], hardest, passages=options.passages),
                BATCH,
                num_workers=options.workers,
                prefetch_factor=8 if options.workers else None,
            )
        )
        until = time.monotonic() + 600
        while time.monotonic() < until and spent < goal:
            crops, labels, lengths = next(loader)
            warm = min(1.0, steps / 300)
            rate = PEAK_RATE * warm * (0.5 + 0.5 * math.cos(math.pi * min(1.0, spent / goal))) + 1e-6
            for group in optimiser.param_groups:
                group["lr"] = rate
            model.train()
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(crops.to(memory_format=torch.channels_last))
            chances = logits.float().log_softmax(-1).transpose(0, 1)
            loss = torch.nn.functional.ctc_loss(
                chances, labels, torch.full((len(crops),), STEPS), lengths, zero_infinity=True
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            with torch.no_grad():
                blend = min(AVERAGE, steps / (steps + 50))
                for mine, theirs in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
                    if mine.dtype.is_floating_point:
                        mine.lerp_(theirs, 1 - blend)
                    else:
                        mine.copy_(theirs)
            steps += 1
            seen += len(crops)
            loss_sum += float(loss.detach())
            now = time.monotonic()
            spent += now - began
            began = now
            if steps % TOLD == 0:
                print(
                    f"step {steps} {spent / 60:.1f} min, {seen / (now - told):.0f} plates/s, hardest {hardest:.2f}, "
                    f"rate {rate:.1e}, loss {loss_sum / TOLD:.3f}, "
                    f"drawn (other fonts) {validate(average, drawn_test):.3f}, "
                    f"real held out {validate(average, real_test):.3f}",
                    flush=True,
                )
                seen, loss_sum, told = 0, 0.0, time.monotonic()
                torch.save(
                    {
                        "model": model.state_dict(),
                        "average": average.state_dict(),
                        "optimiser": optimiser.state_dict(),
                        "spent": spent,
                        "steps": steps,
                    },
                    kept,
                )
                export(average, options.out / "plates.onnx")
        del loader
    export(average, options.out / "plates.onnx")


if __name__ == "__main__":
    main()
