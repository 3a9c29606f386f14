"""Runs the graph of a job that was staged for Dataflow, as its workers would, in this process.

    STORAGE_EMULATOR_HOST=… python beam_graph.py gs://bucket/pipeline.pb

Prints JSON: the names of its transforms, and the container images of its environments.
"""

import json
import sys

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2


def main() -> None:
    """Reads it, tells what it is, and runs it: nothing but these bytes is known here."""
    options = PipelineOptions(["--runner=FnApiRunner"])
    with FileSystems.open(sys.argv[1]) as file:
        graph = beam_runner_api_pb2.Pipeline.FromString(file.read())
    images = []
    for environment in graph.components.environments.values():
        payload = beam_runner_api_pb2.DockerPayload.FromString(environment.payload)
        images.append(payload.container_image)
    pipeline = beam.Pipeline.from_runner_api(graph, "FnApiRunner", options)
    pipeline.run().wait_until_finish()
    names = [one.unique_name for one in graph.components.transforms.values()]
    print(json.dumps({"images": images, "transforms": names}))


if __name__ == "__main__":
    main()
