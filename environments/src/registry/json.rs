//! Specs as JSON, with Gymnasium's names.

use serde_json::{Map, Value as Json, json};

use super::{EnvSpec, Kwargs, MakeError, specs};
use crate::{Value, space::json::write_value};

impl EnvSpec {
    /// Returns the spec as JSON; what makes the environment and its wrappers stand there by name.
    pub fn to_json(&self) -> String {
        let kwargs = self.kwargs.iter();
        let kwargs = kwargs.map(|(name, value)| (name.to_owned(), write_value(value)));
        let wrappers = self.additional_wrappers.iter();
        let wrappers = wrappers.map(|wrapper| json!({"name": wrapper.name}));
        json!({
            "id": self.id().to_string(),
            "entry_point": self.entry_point.name,
            "reward_threshold": self.reward_threshold,
            "nondeterministic": self.nondeterministic,
            "max_episode_steps": self.max_episode_steps,
            "order_enforce": self.order_enforce,
            "disable_env_checker": self.disable_env_checker,
            "kwargs": kwargs.collect::<Map<_, _>>(),
            "additional_wrappers": wrappers.collect::<Json>(),
            "vector_entry_point": self.has_vector_entry_point(),
        })
        .to_string()
    }

    /// Reads a spec from JSON; what makes the environment is that of a registered spec with the same name.
    ///
    /// # Errors
    /// A text that [`EnvSpec::to_json`] does not write, or names that nothing registered has.
    pub fn from_json(text: &str) -> Result<EnvSpec, MakeError> {
        let json: Json =
            serde_json::from_str(text).map_err(|error| MakeError::Json(error.to_string()))?;
        let missing =
            |name: &str| MakeError::Json(format!("`{name}` is missing or of another kind"));
        let text = |name: &str| json[name].as_str().ok_or_else(|| missing(name));
        let truth = |name: &str| json[name].as_bool().ok_or_else(|| missing(name));
        let (id, entry_point) = (text("id")?, text("entry_point")?);
        let same = |spec: &&std::sync::Arc<EnvSpec>| spec.entry_point() == entry_point;
        let registered = specs();
        let known = registered
            .iter()
            .filter(same)
            .max_by_key(|spec| spec.id().to_string() == id)
            .ok_or_else(|| MakeError::Json(format!("nothing registered is a `{entry_point}`")))?;
        let mut spec = (**known).clone().with_id(id.parse()?);
        spec.reward_threshold = json["reward_threshold"].as_f64();
        spec.nondeterministic = truth("nondeterministic")?;
        spec.max_episode_steps = match &json["max_episode_steps"] {
            Json::Null => None,
            steps => Some(
                steps
                    .as_u64()
                    .and_then(|steps| u32::try_from(steps).ok())
                    .filter(|steps| *steps > 0)
                    .ok_or_else(|| missing("max_episode_steps"))?,
            ),
        };
        spec.order_enforce = truth("order_enforce")?;
        spec.disable_env_checker = truth("disable_env_checker")?;
        if !truth("vector_entry_point")? {
            spec.vector_entry_point = None;
        }
        let kwargs = json["kwargs"]
            .as_object()
            .ok_or_else(|| missing("kwargs"))?;
        let kwargs = kwargs
            .iter()
            .map(|(name, value)| Some((name.clone(), read_value(value)?)));
        spec.kwargs = kwargs
            .collect::<Option<Kwargs>>()
            .ok_or_else(|| missing("kwargs"))?;
        let wrappers = json["additional_wrappers"].as_array();
        let wrappers = wrappers.ok_or_else(|| missing("additional_wrappers"))?;
        spec.additional_wrappers = wrappers
            .iter()
            .map(|wrapper| {
                let mut own = known.additional_wrappers.iter();
                let name = wrapper["name"].as_str();
                own.find(|own| Some(own.name.as_str()) == name).cloned()
            })
            .collect::<Option<_>>()
            .ok_or_else(|| missing("additional_wrappers"))?;
        Ok(spec)
    }
}

/// Reads a value of unknown kind: whole numbers are `Int`, others `Float`.
fn read_value(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(value) => Value::Bool(*value),
        Json::String(value) => Value::Text(value.clone()),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64()?),
        },
        Json::Array(values) => Value::List(values.iter().map(read_value).collect::<Option<_>>()?),
        Json::Object(values) => {
            let values = values
                .iter()
                .map(|(name, value)| Some((name.clone(), read_value(value)?)));
            Value::Map(values.collect::<Option<_>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spec_comes_back_from_json() {
        for spec in specs() {
            let text = spec.to_json();
            assert_eq!(EnvSpec::from_json(&text).as_ref(), Ok(&*spec), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_spec_says_what_is_wrong() {
        for (text, reason) in [
            ("", "EOF"),
            ("{}", "`id`"),
            (r#"{"id": "x", "entry_point": "y"}"#, "`y`"),
        ] {
            let error = EnvSpec::from_json(text).expect_err("no spec");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
