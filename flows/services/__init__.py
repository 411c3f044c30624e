"""What runs beside a night: servers, the worker, a cluster."""
