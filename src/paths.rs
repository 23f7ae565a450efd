//! Where results go: that no output takes the place of another or of what is read, and that each can
//! be written; asked before the work.
//!
//! May use: `error`.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Whether both paths lead to the same place, however they are spelled; a file may not be there yet.
pub fn same(a: &Path, b: &Path) -> bool {
    identity(a).is_some_and(|a| Some(a) == identity(b))
}

fn identity(path: &Path) -> Option<PathBuf> {
    let new = || Some(std::fs::canonicalize(folder_of(path)).ok()?.join(path.file_name()?));
    std::fs::canonicalize(path).ok().or_else(new)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A path with the option or argument that gave it.
pub type Named<'a> = (&'a str, &'a Path);

/// Fails unless every output can be written and takes the place of no other one, of no input and of
/// nothing in the folder of `run`.
///
/// # Errors
/// `Error::Usage` for a place that is taken, `Error::Io` for one that cannot be written.
pub fn check_outputs(outputs: &[Named], inputs: &[Named], run: Option<&Path>) -> Result<()> {
    // A folder that holds no run has nothing to protect; opening it fails later, with the reason.
    let run = run.filter(|run| run.join("manifest.json").is_file()).and_then(|run| std::fs::canonicalize(run).ok());
    for (i, (option, path)) in outputs.iter().enumerate() {
        if is_special(path) {
            continue;
        }
        let shown = path.display();
        if let Some((other, _)) = outputs[..i].iter().find(|(_, p)| same(p, path)) {
            let what = format!("{other} and {option} are the same file, {shown}");
            return Err(Error::usage(what, "give each its own"));
        }
        if let Some((input, _)) = inputs.iter().find(|(_, p)| same(p, path)) {
            let what = format!("{option} {shown} is {input}, which would be lost");
            return Err(Error::usage(what, "give the path of a new file"));
        }
        if let (Some(run), Some(place)) = (&run, identity(path))
            && place.starts_with(run)
        {
            let what = format!("{option} {shown} is inside the run folder {}", run.display());
            return Err(Error::usage(what, "give a path outside of it"));
        }
    }
    outputs.iter().try_for_each(|(_, path)| probe(path))
}

/// A pipe or a device (`/dev/stdout`): written directly, so nothing is lost, and a trial would be seen.
fn is_special(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir())
}

/// Fails unless a file can be written at `path`.
fn probe(path: &Path) -> Result<()> {
    if is_special(path) {
        return Ok(());
    }
    if path.is_dir() {
        return Err(Error::usage(format!("{} is a folder", path.display()), "give the path of a file to write"));
    }
    try_in(folder_of(path)).map_err(|e| Error::io(path, "writing", e))
}

/// Fails unless `path` is a folder that can be written, or can become one.
///
/// # Errors
/// `Error::Io`.
pub fn check_folder(path: &Path) -> Result<()> {
    let mut nearest = path;
    while !nearest.exists() {
        nearest = folder_of(nearest);
    }
    try_in(nearest).map_err(|e| Error::io(path, "creating", e))
}

fn try_in(folder: &Path) -> std::io::Result<()> {
    tempfile::Builder::new().prefix(".cytograd-probe").tempfile_in(folder).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_compared_by_where_they_lead() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("sub")).unwrap();
        std::fs::write(at("a"), "").unwrap();
        std::os::unix::fs::symlink(at("a"), at("link")).unwrap();
        assert!(same(&at("a"), &at("sub/../a")) && same(&at("a"), &at("link")));
        assert!(same(&at("new"), &at("sub/../new")) && !same(&at("new"), &at("a")));
        assert!(!same(&at("no/new"), &at("no/new")), "a place in a folder that is missing is nowhere");
    }

    #[test]
    fn outputs_that_collide_or_cannot_be_written_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("run")).unwrap();
        std::fs::create_dir(at("sub")).unwrap();
        std::fs::write(at("run/manifest.json"), "{}").unwrap();
        std::fs::write(at("q"), "").unwrap();
        let check = |a: &str, b: &str| {
            check_outputs(&[("-o", &at(a)), ("--csv", &at(b))], &[("the query", &at("q"))], Some(&at("run")))
        };
        let said = |a: &str, b: &str| check(a, b).unwrap_err().to_string();
        check("x", "y").unwrap();
        check_outputs(&[("-o", Path::new("/dev/null")), ("--csv", Path::new("/dev/null"))], &[], None).unwrap();
        assert!(said("x", "run/../x").starts_with("-o and --csv are the same file"));
        assert!(said("x", "q").contains("is the query, which would be lost"));
        assert!(said("x", "run/log.jsonl").contains("is inside the run folder"));
        assert!(said("sub", "y").contains("is a folder"));
        assert!(said("no/x", "y").contains("does not exist"));
        assert!(check_folder(&at("q/figures")).is_err());
        check_folder(&at("new/figures")).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "nothing is left");
    }
}
