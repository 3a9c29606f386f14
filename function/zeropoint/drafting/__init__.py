"""From anyone's .onnx file to an artifact: what `zeropoint new` writes. Never used by serving."""
