"""Many steps in one program.

A step of a small model spends most of its time around its arithmetic: in Python, in the input
pipeline, in launching a program. Here the arrays stay on the device, a chunk of whole batches is
gathered at a time (`feed`), and one compiled program loops the model's step over the chunk
(`programs`). Keras's own loop goes on around it (`launches`) as it does with
`steps_per_execution`, and which programs XLA compiles is chosen once for a run (`choice`).
(Gathering inside the XLA program is far slower on a CPU, where XLA copies the whole data for every
step.)

However many of a chunk's steps a launch runs, it is the same program that runs them: how often
Keras's loop looks in does not change a single bit.
"""
