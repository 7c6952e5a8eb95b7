"""A model for others: folder, card, ONNX."""
