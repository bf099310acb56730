"""The exercises of every notebook: one module each, all made of :class:`Exercise` from ``engine``."""
