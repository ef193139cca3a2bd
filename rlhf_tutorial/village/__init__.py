"""The village: an invented world, its documents and prompts, and the judge who knows the truth.

Only stages, evaluation and notebooks come here. The algorithms never do: what they
need of the village is handed to them as data and as callables.
"""
