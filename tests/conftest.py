"""Settings of the tests: examples may take long the first time, since kernels are compiled then."""

import os

import numba
from hypothesis import HealthCheck, settings

# With the compiler off a kernel is a thousand times slower, so fewer examples are drawn.
settings.register_profile(
    "headrace",
    deadline=None,
    derandomize="CI" in os.environ,
    max_examples=15 if numba.config.DISABLE_JIT else 60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("headrace")
