"""What happens to an update between a site's training and the average: a chain of named steps."""
