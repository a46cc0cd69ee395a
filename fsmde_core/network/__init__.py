"""The networks and their weights: the student, teachers, other people's files."""
