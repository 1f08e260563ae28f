//! Criterion benches, one file per layer. Compare timings within one run only: they depend on the
//! machine and on what else runs.

pub mod corpus;
