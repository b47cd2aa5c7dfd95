"""How a model meets its data: the phases of a step, input checks, order, programs.

The way of a batch: `sources` says what a loop reads, which `expectation` and `labels` check and
`shuffle` orders; `running` lets a loop of Keras's read it; `keras_hooks` and `fused` say what the
loop launches; and `step` runs the model's phases on a batch, whose terms are made in `loss_terms`.
`phased_model` holds it together, `compiling` sets it up, and `state` is what a file holds of it.
`row_runner` answers questions about rows outside of those loops.

TensorFlow is imported here, in `draws` and in `arguments.variables`, and nowhere else in the
package: all the rest is written in `keras.ops`.
"""
