"""The only state of a production: a database of targets, tasks, attempts and results."""
