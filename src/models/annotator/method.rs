//! What can be trained, by name: an energy-based network or one of the baselines.

use super::score::{Kind, Score};
use crate::error::{Error, Result};
use crate::models::baselines::Baseline;
use crate::models::ebm::Model;

/// A way to turn a labelled reference into an annotator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// One of [`crate::models::ebm`].
    Network(Model),
    /// One of [`crate::models::baselines`].
    Baseline(Baseline),
}

impl Method {
    /// All of them, networks first.
    pub fn all() -> impl Iterator<Item = Method> {
        let networks = Model::ALL.into_iter().map(Method::Network);
        networks.chain(Baseline::ALL.into_iter().map(Method::Baseline))
    }

    /// By its name on the command line.
    ///
    /// # Errors
    /// `Error::Usage` that lists the names.
    pub fn from_name(name: &str) -> Result<Method> {
        Method::all().find(|method| method.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Method::all().map(Method::name).collect();
            Error::usage(format!("unknown model \"{name}\""), format!("use one of {}", names.join(", ")))
        })
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Method::Network(model) => model.name(),
            Method::Baseline(baseline) => baseline.name(),
        }
    }
}

impl Method {
    /// The score that flags cells unless a rehearsal has found a better one.
    pub fn score(self) -> Score {
        match self {
            Method::Network(_) => Kind::LogPx.plain(),
            // Inside references averaging did better with every way to make features that was measured.
            Method::Baseline(Baseline::Lda) => Score { smooth: true, kind: Kind::Mahalanobis },
            Method::Baseline(Baseline::Knn | Baseline::Ingest) => Kind::Knn.plain(),
            Method::Baseline(_) => Kind::MaxP.plain(),
        }
    }
}

impl From<Model> for Method {
    fn from(model: Model) -> Method {
        Method::Network(model)
    }
}

impl From<Baseline> for Method {
    fn from(baseline: Baseline) -> Method {
        Method::Baseline(baseline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_a_name_of_its_own() {
        let names: Vec<&str> = Method::all().map(Method::name).collect();
        for method in Method::all() {
            assert_eq!(Method::from_name(method.name()).unwrap(), method);
        }
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), names.len());
        assert!(Method::from_name("forest").unwrap_err().to_string().contains("use one of clams, jem"));
    }
}
