"""What runs inside a worker process. Standard library only: the process sees nothing else of this package."""
