//! The program: everything is in [`cytograd::cli`].
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    cytograd::cli::main()
}
