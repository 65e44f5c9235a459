"""One engine for every family of functions. Imports point down: public modules, then this package, then _kernels."""
