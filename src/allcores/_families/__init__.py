"""What is special to a family of functions: from its arguments to passes over kernels."""
