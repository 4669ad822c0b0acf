"""Settings of the tests: examples may take long the first time, since kernels are compiled then."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "headrace", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.too_slow], max_examples=60
)
settings.load_profile("headrace")
