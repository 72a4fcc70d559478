"""The encoder: options of the user, resolved into a recipe, a tokenizer and a network.

Everything that decides the vectors is here, and in the recipe. Batches, devices in parallel and stores are not.
"""
