"""What a person schedules: order, retries, artifacts. Computes nothing; all work is in `pipeline`.

As in `pipeline`, switches that a library reads when it is imported; a value already set wins.
"""

import os

from pipeline.core.surroundings import mend

for _name, _value in {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # a first start on a slow disk takes over 20
}.items():
    os.environ.setdefault(_name, _value)

mend()  # a worker imports a flow without any command
