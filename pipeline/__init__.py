"""Nightshift's stages as plain Python; nothing here knows an orchestrator.

The libraries read these switches when they are imported, so they are set here, before any of them:
no usage data leaves the machine, and the log holds what concerns the user. A value already set wins.
"""

import os
import sys

for _name, _value in {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "KERAS_BACKEND": "tensorflow",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}.items():
    os.environ.setdefault(_name, _value)

# OpenVINO's converter has no switch; without this package, which forks for each message to Google, it sends nothing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
