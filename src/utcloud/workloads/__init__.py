"""Workload, subtask, replica: admission, placement, state machine; notebooks on top."""
