"""The embedded base model: generated text, a tokenizer made from it, and its training.

The base reads problems, solutions and plain facts of the built-in tasks, some of them in the words
that critiques use ("not red", "the same"); never a critique of a step, never a verdict, never an
evaluation trace. `genprm pretrain --out DIR` builds it.
"""
