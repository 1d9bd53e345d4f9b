"""The graph that a static runtime compiles: read from a file of operators, or exported from a torch module."""

from __future__ import annotations

from vramcast.backends.interface import Progress
from vramcast.errors import MissingExtraError, WorkloadError
from vramcast.operator_graph import GraphSizes, OperatorGraph
from vramcast.sources.interface import Model
from vramcast.workload import Workload


def graph_of(model: Model, workload: Workload, progress: Progress) -> OperatorGraph:
    """Return the operators of a model at the sizes of a workload, without weights.

    Raises:
        WorkloadError: the workload trains.
        ModelError: the model cannot be read, built or exported.
        MissingExtraError: the packages that read and export graphs are not installed.
    """
    if workload.is_training:
        raise WorkloadError(
            f"backend {workload.backend!r} and mode 'train' exclude each other: it runs models, and does not train them. Use --infer."
        )
    if model.read_graph is not None:
        inputs = {spec.name: spec.shape for spec in workload.inputs}
        return model.read_graph(GraphSizes(workload.batch, workload.image, workload.seq, inputs))
    try:
        from vramcast.backends.graphs.export import export_graph
    except ImportError as error:
        raise MissingExtraError(error.name or "onnxscript", "onnx", "exporting a model to the graph that such a backend runs") from None
    return export_graph(model, workload, progress)
