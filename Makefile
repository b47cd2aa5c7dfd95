# `make demo` and `make test` do all the set-up they need: a virtual environment in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Python keeps what it compiles of the packages it imports: without that, importing Keras takes 20
# seconds in every process rather than 7.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test thorough compatible verify gallery figures benchmarks benchmarks-anomaly \
	benchmarks-finetuning benchmarks-papers lint wheel clean

demo: $(VENV)/installed
	$(BIN)/autoencoders demo

test: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4

# The checks of the models that `make test` leaves out: other arguments of builders it does check,
# models that differ from such in a penalty or a corruption, convolutional twins of dense models, what
# takes long to compile; more pairs of models and kinds of runs that are resumed; damaged and hostile
# files and killed writers by the hundred; and every row of the benchmarks of published figures, in
# small.
thorough: $(VENV)/installed
	$(BIN)/python -m pytest -m thorough --numprocesses auto --maxprocesses 4

# Trains the kept and the registered models with an earlier commit and with this one, and compares
# the bits: OLD=a commit. Half an hour.
compatible: $(VENV)/installed
	$(BIN)/python -m tests.compatible $(OLD)

# Every bundled file's hash, and its figures measured again.
verify: $(VENV)/installed
	$(BIN)/autoencoders verify

# Draws the pictures in docs/gallery anew: those that docs/gallery.md shows. A few minutes.
gallery: $(VENV)/installed
	grep -o 'gallery/[a-z_0-9]*\.[a-z_0-9]*' docs/gallery.md | sort -u | tr ./ '  ' \
	  | while read _ name tag; do \
	    $(BIN)/autoencoders draw $$name --weights $$tag --folder drawn/gallery || exit 1; \
	  done
	rm -rf docs/gallery
	mkdir docs/gallery
	grep -o 'gallery/[a-z_0-9.]*\.png' docs/gallery.md | sort -u \
	  | while read picture; do cp drawn/$$picture docs/gallery/ || exit 1; done

# Trains on full MNIST until the published figures are reached, and every model on the digits: a
# quarter of an hour.
figures: $(VENV)/installed
	$(BIN)/python -m pytest -m figures

# Speed beside other libraries, on MNIST. PEERS="python ..." names interpreters that have them.
benchmarks: $(VENV)/installed
	$(BIN)/python -m benchmarks.training --python $(PEERS)
	$(BIN)/python -m benchmarks.training --digits
	$(BIN)/python -m benchmarks.training --families
	$(BIN)/python -m benchmarks.training --loops --rounds 3
	$(BIN)/python -m benchmarks.training --annealed
	$(BIN)/python -m benchmarks.scoring --python $(PEERS)

# Anomaly detection beside other methods: TABLES="folder of ADBench's .npz files", SERIES="folder of
# the Numenta benchmark's .csv files", PEERS as above.
# ECG5000 is read from AUTOENCODERS_DATA_DIR. Hours; a run that is cut off goes on where it was.
benchmarks-anomaly: $(VENV)/installed
	$(BIN)/python -m benchmarks.anomaly $(TABLES) --mnist --ecg --python $(PEERS)
	$(BIN)/python -m benchmarks.anomaly_speed --python $(PEERS)
	$(BIN)/python -m benchmarks.anomaly_rates
	$(BIN)/python -m benchmarks.nab $(SERIES)

# Bundled MNIST weights on other data beside training from scratch: CIFAR-10 and MNIST as above. Half
# an hour; a run that is cut off goes on where it was.
benchmarks-finetuning: $(VENV)/installed
	$(BIN)/python -m benchmarks.finetuning

# Published figures beside this package's, from MNIST in AUTOENCODERS_DATA_DIR: hours. A run that is
# cut off goes on where it was.
benchmarks-papers: $(VENV)/installed
	$(BIN)/python -m benchmarks.papers $(ROWS) --table

lint: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(VENV)/installed
	$(BIN)/python -m build --wheel

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build dist demo drawn .compatible
