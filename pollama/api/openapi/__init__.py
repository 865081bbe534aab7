"""What the API looks like from outside, as data: the description that is served as /openapi.json."""
