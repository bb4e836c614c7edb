"""Fisher-information diagonals of many systems, their tiers, and tests of the claims about them.

This package holds the science as pure functions; reading, writing and scheduling are the
business of ``workflow/``. Importing it imports nothing else: each job loads what it needs.
"""

__version__ = "0.1.0"
