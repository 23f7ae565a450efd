//! What is compared: models, and the interventions of CLAMS one by one.

use crate::error::Result;
use crate::models::annotator::Method;
use crate::models::annotator::study::{Learning, Study};
use crate::models::ebm::{Clip, Model};

/// A row of a table: a method, perhaps with another generative loss.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Name of the row.
    pub name: String,
    /// The method.
    pub method: Method,
    /// In place of the method's own clipping, probability to count, and threshold.
    pub loss: Option<(Clip, f64, Option<f32>)>,
}

impl Variant {
    /// A method as it is.
    pub fn of(method: Method) -> Variant {
        Variant { name: method.name().into(), method, loss: None }
    }

    /// The eight of the ablation (CLAMS specification, section 4; tables 5 and 6).
    pub fn ablation() -> Vec<Variant> {
        let variant = |name: &str, clip, p_on, threshold| Variant {
            name: name.into(),
            method: Method::Network(if name == "clams" { Model::Clams } else { Model::Jem }),
            loss: Some((clip, p_on, threshold)),
        };
        vec![
            variant("clams", Clip::Elu, 0.25, None),
            variant("jem", Clip::None, 1.0, None),
            variant("p.25", Clip::None, 0.25, None),
            variant("p.1", Clip::None, 0.1, None),
            variant("T-1", Clip::None, 1.0, Some(-1.0)),
            variant("ELU", Clip::Elu, 1.0, None),
            variant("ELU p.1", Clip::Elu, 0.1, None),
            variant("ELU T-1", Clip::Elu, 1.0, Some(-1.0)),
        ]
    }

    /// How often it is run: what draws no random numbers once.
    pub fn repeats(&self, seeds: u64) -> u64 {
        match self.method {
            Method::Network(_) => seeds,
            Method::Baseline(_) => 1,
        }
    }

    /// What is learnt from a study's cells.
    ///
    /// # Errors
    /// As [`Study::settings`].
    pub fn learning(&self, study: &Study, seed: u64) -> Result<Learning> {
        let mut settings = study.settings(self.method)?;
        if let Some((clip, p_on, threshold)) = self.loss {
            let loss = &mut settings.ebm.loss;
            (loss.clip, loss.p_on, loss.threshold) = (clip, p_on, threshold);
        }
        Ok(Learning { method: self.method, settings, seed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_two_variants_are_the_models_of_those_names() {
        for (variant, model) in Variant::ablation().iter().zip([Model::Clams, Model::Jem]) {
            let loss = model.config().loss;
            assert_eq!(variant.loss, Some((loss.clip, loss.p_on, loss.threshold)), "{}", variant.name);
        }
        assert_eq!(Variant::ablation().len(), 8);
    }
}
