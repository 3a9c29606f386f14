"""The deployed function: functions-framework --source function/main.py --target predict."""

from zeropoint.function import predict

__all__ = ["predict"]
