#!/bin/sh
# Rustdoc's JSON is unstable in a stable toolchain, which this variable allows. It is set for rustdoc
# alone: if cargo had it, too, build scripts would see it, and all dependencies would be rebuilt.
RUSTC_BOOTSTRAP=1 exec rustdoc "$@"
