//! Criterion benches, one file a layer.
