"""Export of encoders and fusions to ONNX, as graphs that onnxruntime runs without depmm."""
