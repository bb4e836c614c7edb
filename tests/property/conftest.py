"""Properties may take their time: the first example of one compiles the code that the rest run."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
