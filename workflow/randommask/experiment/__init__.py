"""What is asked for: the config, the datasets, and the jobs that follow."""
