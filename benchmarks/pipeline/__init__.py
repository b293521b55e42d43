"""Parts of benchmarks of the pipeline: models, counters, timed arms and reports."""
