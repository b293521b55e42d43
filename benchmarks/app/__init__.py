"""Parts of benchmarks that ask the running app: its server, visitors, waiting times."""
