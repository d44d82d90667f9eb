"""Other people's pipelines: stages of ceci run here, and ours run there."""
