//! `cargo xtask docs`: what the documentation takes from the code.

/// Writes docs/reference/cli.md and target/man/*.1, or only checks all pages.
pub fn run(option: Option<&str>) -> Result<(), String> {
    let mut cargo = std::process::Command::new("cargo");
    cargo.args(["test", "--quiet", "--package", "moby", "--test", "it", "cli::docs::"]);
    match option {
        Some("--check") => {}
        None => {
            cargo.env("UPDATE_DOCS", "1");
        }
        Some(other) => {
            return Err(format!(
                "unknown option {other}\nhelp: --check compares without writing"
            ));
        }
    }
    match cargo.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err("the documentation has mistakes, listed above".into()),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}
