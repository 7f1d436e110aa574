//! The program: see `moby --help`.

fn main() -> std::process::ExitCode {
    moby::cli::main()
}
