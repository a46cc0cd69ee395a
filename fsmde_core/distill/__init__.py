"""Training: a student from ground truth and a teacher, by one command on a CPU or many GPUs."""
