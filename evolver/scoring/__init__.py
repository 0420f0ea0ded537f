"""The kit for evaluators: exact checks, data sets, devices, straight-line programs."""
