//! The program as its users run it: real processes, each test's path has
//! `processes::` in it.

mod processes;
