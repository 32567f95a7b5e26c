"""Draws the golden pictures of the packs and prints what the packs that are here see in them, as TOML for manifests.

Usage: .venv/bin/python models/golden.py [--write]   (--write also writes models/*/golden.jpg)
Pictures are drawn by this project: the demo's gate scene, and plates of models/plates/render.py (Debian's fonts).
"""

import random
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "plates"))
from heads import paste
from render import draw

from gateway.cli.demo import clip
from gateway.vision.packs import DETECTION, FACES, READING, VEHICLES, Pack, packs
from gateway.vision.selftest import open_model
from gateway.vision.shapes import Box

FOLDER = Path(__file__).parent
TEXT = "沪A12345"
PAINT = (160, 60, 40)
VEHICLE_AT, PLATE_AT = 1.6, 2.2  # seconds of the car's way
HEADS = ((110, 20, 40), (60, 190, 60), (36, 240, 200), (80, 90, 225))  # size, left, top; the last is cut off
QUALITY = 88
FACE_SCORE = 0.35


def scene(seconds: float, paint: tuple[int, int, int] = (60, 60, 150)) -> tuple[Any, tuple[float, float, float]]:
    """The demo's lane with one car after ``seconds`` of its way: the picture, and the car's x, lower edge and width."""
    car = clip.DrawnCar(TEXT, 0.0, 4.0, "in", paint)
    canvas: Any = clip._road(np.random.default_rng(7))  # noqa: SLF001 - the scene's own parts
    place = clip._place(car, seconds)  # noqa: SLF001
    if place is None:
        raise SystemExit("the car is not there")
    clip._paste(canvas, clip._car(car), *place)  # noqa: SLF001
    return canvas, place


def picture(pack: Pack) -> Any:  # noqa: ANN401 - pixels
    """The golden picture of a pack's task."""
    if pack.task == VEHICLES:
        canvas, (x, low, wide) = scene(VEHICLE_AT, PAINT)
        part = canvas[max(0, round(low - 1.3 * wide)) : round(low + 0.3 * wide), round(x - wide) : round(x + wide)]
        return cv2.resize(part, (352, 352), interpolation=cv2.INTER_AREA)
    if pack.task == DETECTION:
        canvas, (x, low, wide) = scene(PLATE_AT)
        top = max(0, min(clip.HEIGHT - 240, round(low - 0.45 * wide)))
        return canvas[top : top + 240, round(x - 160) : round(x + 160)]
    if pack.task == FACES:
        canvas = np.random.default_rng(3).normal(120.0, 4.0, (320, 320, 3)).astype(np.float32)
        for size, left, top in HEADS:
            paste(canvas, size, left, top)
        return np.clip(canvas, 0, 255).astype(np.uint8)
    plate = draw(TEXT, "ordinary", random.Random(5), "train", double=False).picture
    air = cv2.copyMakeBorder(plate, 4, 4, 4, 4, cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(cv2.resize(air, (192, 48), interpolation=cv2.INTER_AREA), (0, 0), 0.7)
    noise = np.random.default_rng(3).normal(0.0, 4.0, soft.shape)
    return np.clip(soft + noise, 0, 255).astype(np.uint8)


def expectation(pack: Pack, pixels: Any) -> str:  # noqa: ANN401 - pixels
    """What a pack that is here sees, as the manifest says it."""
    model = open_model(pack)
    whole = Box(0, 0, pixels.shape[1], pixels.shape[0])
    if pack.task == DETECTION:
        corners = [[[round(float(v)) for v in corner] for corner in one.corners] for one in model.find(pixels, whole)]
        return f"{{ plates = {corners}, within = 6.0 }}"
    if pack.task == VEHICLES:
        found = model.find(pixels, whole, 0.2)[0]
        box = [round(value) for value in found.box]
        return f'{{ label = "{found.label}", box = {box}, overlap = 0.8, score = {found.score:.2f}, within = 0.12 }}'
    if pack.task == FACES:
        sure = [face for face in model.find(pixels, whole) if face.score >= FACE_SCORE]
        print(f"# {pack.name}: {[round(face.score, 2) for face in model.find(pixels, whole)]}", file=sys.stderr)
        faces = [[round(value) for value in face.box] for face in sure]
        return f"{{ faces = {faces}, overlap = 0.6, score = {FACE_SCORE} }}"
    read = model.read(pixels)
    print(f"# {pack.name}: {read}", file=sys.stderr)
    return f'{{ text = "{read.text if read else ""}", least = 0.8 }}'


def main() -> int:
    """Draw, write if asked to, and print."""
    for pack in packs(FOLDER):
        if pack.task not in (DETECTION, READING, VEHICLES, FACES):
            continue
        done, data = cv2.imencode(".jpg", picture(pack), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if not done:
            return 1
        if "--write" in sys.argv[1:]:
            (pack.folder / "golden.jpg").write_bytes(data.tobytes())
        if not pack.present:
            print(f"# {pack.name} is not here")
            continue
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        print(f'# {pack.folder.name}\n[golden]\npicture = "golden.jpg"\nexpect = {expectation(pack, pixels)}\n')
    return 0


if __name__ == "__main__":
    sys.exit(main())
