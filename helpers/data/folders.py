"""The reader's own data: a folder of images or sounds, or texts, becomes the same Dataset as ours.

``helpers.senses.read`` works out what it is. What could not be used is left out, and the data set's notes say which
file and why (``data.skipped`` has the same for programs). ``helpers.data.files`` says what is looked at in a folder;
``pictures``, ``recordings`` and ``writings`` read it.
"""

from helpers.data.pictures import images
from helpers.data.recordings import sounds
from helpers.data.writings import texts

__all__ = ["images", "sounds", "texts"]
