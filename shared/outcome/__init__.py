"""What is predicted of a patient: classes, their words, loss, activation, and counts that leave."""
