"""Averages the weights of two trainings and writes the recogniser: a long one, and one that went on from it elsewhere.

Usage: .venv/bin/python models/plates/average.py FIRST.pt SECOND.pt SHARE OUT.onnx     (SHARE of the second, 0 to 1)
FIRST.pt and SECOND.pt are checkpoints of train.py.
"""

import sys
from pathlib import Path

import torch
from network import PlateNet
from torch import Tensor
from train import export


def averaged(first: dict[str, Tensor], second: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Weights between two: ``share`` 0 is the first one; counters are the second's."""
    return {
        name: torch.lerp(first[name], there, share) if there.dtype.is_floating_point else there
        for name, there in second.items()
    }


def main() -> int:
    """Read, average, write."""
    if len(sys.argv) != 5 or not 0.0 <= float(sys.argv[3]) <= 1.0:
        print(__doc__, file=sys.stderr)
        return 2
    first, second = (torch.load(path, weights_only=True)["average"] for path in sys.argv[1:3])
    model = PlateNet()
    model.load_state_dict(averaged(first, second, float(sys.argv[3])))
    export(model, Path(sys.argv[4]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
