"""The exercises of every lesson: one module each, named as the lesson's notebook is, and made with ``engine``."""
