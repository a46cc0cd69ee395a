"""A model file at work: images and a rig to depth, by ONNX Runtime."""
