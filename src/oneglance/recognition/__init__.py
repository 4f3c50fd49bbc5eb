"""Who is it? Margins to train vectors by, rules to score them by, and a gallery of people to compare with.

Nothing here knows of images or networks: vectors, names and scores alone.
"""
