//! Criterion benches, one file a layer. Timings here are of one machine at one
//! moment: compare them within a run, never across.

pub mod corpus;
