"""The plate recogniser: a small convolutional network that turns a crop into CTC steps over the plate alphabet."""

import torch
from torch import Tensor, nn

from gateway.vision.grammar import ALPHABET

WIDTH, HEIGHT = 144, 40
STEPS = WIDTH // 4
CLASSES = 1 + len(ALPHABET)  # column 0 is CTC's blank


def _block(inputs: int, outputs: int, kernel: tuple[int, int] = (3, 3), groups: int = 1) -> nn.Sequential:
    padding = (kernel[0] // 2 if kernel[0] % 2 and kernel[0] < 5 else 0, kernel[1] // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=False, groups=groups),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class PlateNet(nn.Module):
    """(N, 3, 40, 144), BGR from -1 to 1, to (N, 36, CLASSES): logits, or probabilities once ``export`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.export = False
        self.body = nn.Sequential(
            _block(3, 24),
            nn.MaxPool2d(2),
            _block(24, 48),
            nn.MaxPool2d(2),
            _block(48, 80),
            _block(80, 112),
            nn.MaxPool2d((2, 1)),
            _block(112, 144),
            _block(144, 192, (5, 1)),
        )
        self.along = nn.Sequential(_block(192, 192, (1, 5)), nn.Dropout(0.1), _block(192, 192, (1, 5)))
        self.head = nn.Conv2d(192, CLASSES, 1)

    def forward(self, crops: Tensor) -> Tensor:
        """One row a step; a step is four pixels wide."""
        strip = self.body(crops)
        strip = strip + self.along(strip)
        steps = self.head(strip)[:, :, 0].transpose(1, 2)
        return torch.softmax(steps, -1) if self.export else steps
