"""The table of tasks. A task is one file in this folder and one line here."""

from __future__ import annotations

from collections.abc import Callable

from vramcast.program.tasks.classify import Classify, VideoClassify
from vramcast.program.tasks.generic import Generic
from vramcast.program.tasks.interface import Task
from vramcast.program.tasks.language import Encode, LanguageModel, Seq2Seq
from vramcast.program.tasks.semantic import SemanticSegment
from vramcast.program.tasks.torchvision_detect import TorchvisionDetect
from vramcast.program.tasks.yolo import Yolo, YoloClassify

TASKS: dict[str, Callable[[], Task]] = {
    "classify": Classify,
    "classify-aux": Classify,
    "video-classify": VideoClassify,
    "semantic-segment": SemanticSegment,
    "detect": TorchvisionDetect,
    "instance-segment": TorchvisionDetect,
    "keypoints": TorchvisionDetect,
    "yolo-detect": Yolo,
    "yolo-segment": Yolo,
    "yolo-pose": Yolo,
    "yolo-obb": Yolo,
    "yolo-classify": YoloClassify,
    "causal-lm": LanguageModel,
    "masked-lm": LanguageModel,
    "seq2seq-lm": Seq2Seq,
    "encode": Encode,
    "generic": Generic,
}
