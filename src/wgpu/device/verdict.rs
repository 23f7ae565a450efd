//! Verdicts of the self-check, kept between runs: a file per adapter and driver, in the user's cache.

use crate::wgpu::check::Verdict;
use crate::wgpu::shader::{Forms, MulAdd};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// Of the self-check: a verdict of another one says nothing.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The file for an adapter, if the user has a cache.
fn file(identity: &str) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    let mut sum = Sha256::new();
    for part in [VERSION, super::super::check::TEXT, identity] {
        sum.update(part);
        sum.update([0]);
    }
    let digest: String = sum.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    Some(cache.join("cytograd").join(format!("wgpu-{digest}")))
}

/// A verdict that was kept.
pub(super) fn kept(identity: &str) -> Option<Verdict> {
    parse(&std::fs::read_to_string(file(identity)?).ok()?)
}

/// Keeps a verdict; without a place for it the check is run again next time.
pub(super) fn keep(identity: &str, verdict: &Verdict) {
    let write = || -> Option<()> {
        let path = file(identity)?;
        let folder = path.parent()?;
        std::fs::create_dir_all(folder).ok()?;
        let mut whole = tempfile::NamedTempFile::new_in(folder).ok()?;
        std::io::Write::write_all(&mut whole, text(verdict).as_bytes()).ok()?;
        whole.persist(path).ok().map(|_| ())
    };
    let _ = write();
}

fn text(verdict: &Verdict) -> String {
    let forms = match verdict {
        Ok(forms) => forms,
        Err(what) => return format!("fails {what}\n"),
    };
    let mul_add = match forms.mul_add {
        MulAdd::Native => "native",
        MulAdd::Double => "double",
        MulAdd::Integers => "integers",
    };
    let form = |native: bool| if native { "native" } else { "integers" };
    format!("mul_add {mul_add}\nquotient {}\nroot {}\n", form(forms.native_quotient), form(forms.native_root))
}

fn parse(text: &str) -> Option<Verdict> {
    if let Some(what) = text.strip_prefix("fails ") {
        return Some(Err(what.trim_end().into()));
    }
    let mut lines = text.lines();
    let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let mul_add = match field("mul_add")? {
        "native" => MulAdd::Native,
        "double" => MulAdd::Double,
        "integers" => MulAdd::Integers,
        _ => return None,
    };
    let native = |form: &str| match form {
        "native" => Some(true),
        "integers" => Some(false),
        _ => None,
    };
    Some(Ok(Forms { mul_add, native_quotient: native(field("quotient")?)?, native_root: native(field("root")?)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_read_as_they_were_written() {
        for mul_add in [MulAdd::Native, MulAdd::Double, MulAdd::Integers] {
            let verdict = Ok(Forms { mul_add, native_quotient: false, native_root: true });
            assert_eq!(parse(&text(&verdict)), Some(verdict));
        }
        let verdict = Err("division: that of 0x1 is 0x2, not 0x3".to_string());
        assert_eq!(parse(&text(&verdict)), Some(verdict));
        assert_eq!(parse("mul_add native\nquotient"), None);
    }
}
