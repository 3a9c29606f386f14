"""Text that a model writes: token by token, each made of all before it.

    messages → chat template → tokens → **prompt** → scores → **next token** → … → text

The keys and values of what was read stay in a cache, so that each step reads one token only.
"""
