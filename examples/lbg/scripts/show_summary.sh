#!/bin/sh
# Runs after the stages, if all of them are done; what it prints is in logs/post_script.out.
cat "$ORCHESTRATOR_OUTPUT_DIR/summary.yml"
