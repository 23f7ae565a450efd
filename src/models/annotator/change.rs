//! Single settings in place of a profile's, by their path: `ebm.sgld.alpha=10`.

use super::profile::Settings;
use crate::error::{Error, Result};
use serde_json::Value;
use std::fmt;
use std::str::FromStr;

/// One setting and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    path: String,
    value: Value,
}

impl FromStr for Change {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Change, String> {
        let (path, value) = text.split_once('=').ok_or("give it as PATH=VALUE, as in ebm.sgld.alpha=10")?;
        // What is no JSON is a name.
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into()));
        Ok(Change { path: path.trim().into(), value })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.path, self.value)
    }
}

impl Change {
    /// Makes some changes, one after the other.
    ///
    /// # Errors
    /// `Error::Usage` for a path that is not there or a value that does not fit.
    pub fn make(changes: &[Change], settings: &mut Settings) -> Result<()> {
        changes.iter().try_for_each(|change| change.apply(settings))?;
        settings.ebm.check()?;
        settings.features.check()
    }

    fn apply(&self, settings: &mut Settings) -> Result<()> {
        let unfit = |e: &dyn fmt::Display| Error::usage(format!("{self}: {e}"), "give a value of the setting's kind");
        let mut all = serde_json::to_value(&*settings).map_err(|e| unfit(&e))?;
        let mut at = &mut all;
        for part in self.path.split('.') {
            let names: Vec<String> = at.as_object().into_iter().flat_map(|o| o.keys().cloned()).collect();
            at = match at.get_mut(part) {
                Some(next) => next,
                None if names.is_empty() => {
                    return Err(Error::usage(format!("{self}: there is nothing below"), "leave the last part out"));
                }
                None => {
                    let what = format!("{self}: there is no setting \"{part}\"");
                    return Err(Error::usage(what, format!("use one of {}", names.join(", "))));
                }
            };
        }
        *at = self.value.clone();
        *settings = serde_json::from_value(all).map_err(|e| unfit(&e))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_changed_by_their_path_and_nonsense_is_named() {
        let mut settings = Settings::default();
        let texts = ["ebm.sgld.alpha=10", "ebm.net.widths=[64]", "ebm.net.blocks=[1]", "select=last", "ebm.base=true"];
        Change::make(&texts.map(|text| text.parse().unwrap()), &mut settings).unwrap();
        assert_eq!((settings.ebm.sgld.alpha, settings.ebm.net.widths.len(), settings.ebm.base), (10.0, 1, true));
        let text = |t: &str| {
            let change = t.parse::<Change>().unwrap();
            Change::make(&[change], &mut Settings::default()).unwrap_err().to_string()
        };
        assert!(text("ebm.sgld.speed=1").contains("there is no setting \"speed\"; use one of steps, alpha"));
        assert!(text("ebm.sgld.alpha=fast").contains("give a value of the setting's kind"));
        assert!(text("ebm.sgld.alpha.x=1").contains("nothing below"));
        assert!("alpha".parse::<Change>().unwrap_err().contains("PATH=VALUE"));
        assert!(text("ebm.optim.batch=0").contains("batch must be at least 1"));
    }
}
