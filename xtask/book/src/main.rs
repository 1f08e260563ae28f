//! Builds a book: `mailmesh-book FOLDER OUTPUT`.

use std::path::PathBuf;
use std::process::ExitCode;

use mdbook_driver::MDBook;

fn main() -> ExitCode {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), Some(output)) = (paths.next(), paths.next()) else {
        eprintln!("error: usage: mailmesh-book FOLDER OUTPUT");
        return ExitCode::FAILURE;
    };
    let output = std::path::absolute(output).unwrap_or_default();
    let built = MDBook::load(&folder).and_then(|mut book| {
        book.config.build.build_dir = output;
        book.build()
    });
    match built {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}: {error:#}", folder.display());
            ExitCode::FAILURE
        }
    }
}
