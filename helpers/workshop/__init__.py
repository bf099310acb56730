"""For the room: a look at a computer before the course, catching up with a lesson, and grading of notebooks."""
