"""Where chunks run: an executor, chosen by one word of the site."""
