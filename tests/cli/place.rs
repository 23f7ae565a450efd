//! A temporary folder in which the built program runs.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard};

/// The built program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_cytograd");

static FILES: Mutex<()> = Mutex::new(());

/// Held while this process writes an HDF5 file and while it starts a program: a program started in
/// between would inherit the open file and keep it locked.
pub fn files() -> MutexGuard<'static, ()> {
    FILES.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Starts a program.
pub fn start(command: &mut Command) -> Child {
    let _guard = files();
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// A folder that is removed at the end of the test.
pub struct Place {
    folder: tempfile::TempDir,
}

/// What a run of the program said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new() -> Place {
        Place { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The program in this folder, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Runs the program with arguments split at spaces (`{}` in none of them).
    pub fn run(&self, arguments: &str) -> Said {
        self.run_list(&arguments.split_whitespace().collect::<Vec<_>>())
    }

    pub fn run_list(&self, arguments: &[&str]) -> Said {
        said(start(&mut self.command(arguments)).wait_with_output().expect("it ends"))
    }

    /// Runs it under a shell prefix, as in `ulimit -f 8; exec`.
    pub fn run_in_shell(&self, prefix: &str, arguments: &str) -> Said {
        let script = format!("{prefix} {PROGRAM} {arguments}");
        let child = start(Command::new("bash").args(["-c", &script]).current_dir(self.folder.path()));
        said(child.wait_with_output().expect("it ends"))
    }

    /// Runs it and expects success; returns what it said.
    pub fn ok(&self, arguments: &str) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "`cytograd {arguments}` failed:\n{}", said.stderr);
        said
    }

    /// Runs it and expects a failure with this code, on exactly one error line that holds all parts,
    /// with every file of the folder as it was.
    pub fn fails(&self, arguments: &str, code: i32, parts: &[&str]) -> Said {
        let before = self.content();
        let said = self.run(arguments);
        let error = said.error();
        assert_eq!(said.code, code, "`cytograd {arguments}` said:\n{}", said.stderr);
        for part in parts {
            assert!(error.contains(part), "`cytograd {arguments}`: \"{part}\" is not in: {error}");
        }
        let after = self.content();
        for (path, bytes) in &before {
            let same = after.iter().any(|(p, b)| p == path && b == bytes);
            assert!(same, "`cytograd {arguments}` changed {}", path.display());
        }
        for (path, _) in &after {
            let known = before.iter().any(|(p, _)| p == path);
            assert!(known, "`cytograd {arguments}` left {}", path.display());
        }
        said
    }

    /// All files below the folder with their bytes, folders with none.
    pub fn content(&self) -> Vec<(PathBuf, Vec<u8>)> {
        fn walk(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
            let mut entries: Vec<PathBuf> =
                std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()).collect();
            entries.sort();
            for path in entries {
                if path.is_dir() {
                    walk(&path, found);
                    found.push((path, Vec::new()));
                } else {
                    let bytes = std::fs::read(&path).expect("a file");
                    found.push((path, bytes));
                }
            }
        }
        let mut found = Vec::new();
        walk(self.folder.path(), &mut found);
        found
    }
}

impl Said {
    /// The one error line.
    pub fn error(&self) -> &str {
        let errors: Vec<&str> = self.stderr.lines().filter(|l| l.starts_with("cytograd: error:")).collect();
        assert_eq!(errors.len(), 1, "one error line, not:\n{}\n{}", self.stdout, self.stderr);
        errors[0]
    }

    /// A line of stderr that holds all parts.
    pub fn has_line(&self, parts: &[&str]) {
        let found = self.stderr.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "no line with {parts:?} in:\n{}", self.stderr);
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("not JSON ({e}):\n{}", self.stdout))
    }
}

pub fn said(output: Output) -> Said {
    Said {
        // A signal has no code; -1 equals none of ours.
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
