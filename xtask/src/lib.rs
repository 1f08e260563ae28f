//! Code that the tasks share with the trials of `lab/`: cargo commands, tables in documents, and the
//! check for network namespaces.

pub mod markdown;
pub mod namespaces;
pub mod run;
