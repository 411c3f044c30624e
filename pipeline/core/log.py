"""The project's only logger. Libraries have their own loggers, whose levels it does not change."""

import logging

log = logging.getLogger("nightshift")
