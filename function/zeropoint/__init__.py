"""Zeropoint: serverless, scale-to-zero inference for ONNX models.

bytes → protocol → instances → prepare → tensors → execute → tensors → output →
predictions → protocol → bytes
"""

__version__ = "0.1.0"
