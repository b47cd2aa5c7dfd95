"""How a model meets its data: the phases of a step, input checks, order, programs.

The only package that imports TensorFlow itself; everything above it is written in `keras.ops`.
"""
