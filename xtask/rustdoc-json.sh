#!/bin/sh
# The JSON of rustdoc is unstable; this variable allows it in a stable toolchain. Only rustdoc gets
# the variable: build scripts watch it, so cargo would rebuild dependencies.
RUSTC_BOOTSTRAP=1 exec rustdoc "$@"
