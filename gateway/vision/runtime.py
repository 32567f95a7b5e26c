"""Runs models: opens a pack's file on the best of the wanted providers that this machine's onnxruntime has."""

from collections.abc import Callable, Sequence
from typing import Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as native

from gateway.vision.packs import Pack, PackError
from gateway.vision.suspects import AtWork, caught, left_out

CPU = "cpu"
# The words of `[vision] providers`, and what onnxruntime calls them.
PROVIDERS = {
    CPU: "CPUExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "acl": "ACLExecutionProvider",
    "armnn": "ArmNNExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "qnn": "QNNExecutionProvider",
    "rknpu": "RknpuExecutionProvider",
}
# onnxruntime's errors have no common root below Exception.
MODEL_ERRORS = (
    native.Fail,
    native.InvalidArgument,
    native.InvalidGraph,
    native.InvalidProtobuf,
    native.ModelLoaded,
    native.NoModel,
    native.NoSuchFile,
    native.NotImplemented,
    native.EPFail,
    native.EngineError,
    native.RuntimeException,
    RuntimeError,
    ValueError,
)
LONGEST_REASON = 200


def available() -> tuple[str, ...]:
    """The providers that this onnxruntime was built with, in the words of the configuration."""
    built = set(onnxruntime.get_available_providers())
    return tuple(word for word, name in PROVIDERS.items() if name in built)


def usable(wanted: Sequence[str]) -> tuple[str, ...]:
    """Those of the wanted that there are, the CPU always last."""
    there = available()
    return (*(word for word in dict.fromkeys(wanted) if word in there and word != CPU), CPU)


def missing(wanted: Sequence[str]) -> tuple[str, ...]:
    """Those of the wanted that this onnxruntime does not have."""
    there = available()
    return tuple(word for word in dict.fromkeys(wanted) if word not in there)


class Session(onnxruntime.InferenceSession):  # type: ignore[misc] # the library says nothing of its types
    """A session that names its model while it works: what ends the whole process ends it with a name."""

    def __init__(self, pack: Pack, model: bytes, options: onnxruntime.SessionOptions, providers: list[str]) -> None:
        self._at_work = AtWork(pack.sha256, pack.name)
        with self._at_work:
            super().__init__(model, options, providers=providers)

    def run(self, output_names: Any, input_feed: Any, run_options: Any = None) -> Any:  # noqa: ANN401 - the library's
        """Run the model."""
        with self._at_work:
            return super().run(output_names, input_feed, run_options)


def open_session(pack: Pack, prepare: Callable[[bytes], bytes] | None = None) -> onnxruntime.InferenceSession:
    """Load a pack's model for one thread after its check; PackError when it is not the manifest's or does not load.

    ``prepare`` may change the checked file's bytes on their way into the runtime. A model with which worker after
    worker has died is refused.
    """
    if left_out(pack.sha256):
        raise PackError(
            f"model pack {pack.name} was at work each time when the camera's worker died, and is left out for some "
            "hours; replace it, or choose another one with: linli model use NAME",
            "models_refused",
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False  # crops of many sizes would keep an arena for each
    providers = [PROVIDERS[word] for word in usable(pack.providers)]
    model = pack.checked()
    try:
        return Session(pack, prepare(model) if prepare else model, options, providers)
    except MODEL_ERRORS as error:
        caught()
        raise PackError(f"model pack {pack.name} does not load here: {reason(error)}", "models_refused") from error


def reason(error: Exception) -> str:
    """What the runtime said, in one short line."""
    text = " ".join(str(error).split())
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"
