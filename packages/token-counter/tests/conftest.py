"""What holds for all tests of this package."""

from hypothesis import HealthCheck, settings

# A machine under load is slow; that is no fault of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
