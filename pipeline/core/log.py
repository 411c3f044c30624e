"""The one logger of the project: libraries have their own, and keep their level."""

import logging

log = logging.getLogger("nightshift")
