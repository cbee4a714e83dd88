# Everything happens in dev.py, which needs nothing but Python; Windows: py dev.py demo
PYTHON ?= python3

.PHONY: setup demo demo-bundle test coverage lint format clean

setup demo demo-bundle test coverage lint format clean:
	$(PYTHON) dev.py $@
