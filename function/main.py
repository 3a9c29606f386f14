"""The deployed function: functions-framework --source function/main.py --target predict."""

from zeropoint.function import on_event, predict

__all__ = ["on_event", "predict"]
