"""holdfast: can this release ship now, and can we get back?"""

__version__ = "0.1.0"
