"""What the models of all cameras run on."""

from typing import Literal

from pydantic import Field

from gateway.settings.base import Table

Provider = Literal["cpu", "xnnpack", "openvino", "acl", "armnn", "cuda", "tensorrt", "qnn", "rknpu"]


class VisionSettings(Table):
    """``[vision]``: onnxruntime's execution providers."""

    providers: tuple[Provider, ...] = Field(
        default=("cpu",),
        description="what models run on, first choice first; what this onnxruntime lacks (linli model list) is passed "
        "over, and the CPU does the rest",
        examples=[["openvino", "cpu"]],
    )
