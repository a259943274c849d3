//! The part of a URL behind the question mark, and what lists, watches and writes read from it.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::{
    refusal::{Cause, Refusal},
    schema::FieldValidation,
};

/// The parameters of a request.
#[derive(Clone, Debug, Default)]
pub struct Query(BTreeMap<String, Vec<String>>);

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

impl Query {
    /// From the text behind the question mark.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut parameters = BTreeMap::<String, Vec<String>>::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters.entry(decode(key)).or_default().push(decode(value));
        }
        Self(parameters)
    }

    /// The first value; empty if there is none.
    #[must_use]
    pub fn get(&self, key: &str) -> &str {
        self.0.get(key).and_then(|values| values.first()).map_or("", String::as_str)
    }

    /// All its values.
    #[must_use]
    pub fn all(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether it was given.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// As Kubernetes reads a boolean from a query: all but `false`, in any case, and `0` is true, `?watch` too.
    #[must_use]
    pub fn is_true(&self, key: &str) -> bool {
        let first = self.0.get(key).and_then(|values| values.first());
        first.is_some_and(|value| !value.eq_ignore_ascii_case("false") && value != "0")
    }

    /// A whole number, if it was given.
    pub fn number(&self, key: &str) -> Result<Option<i64>, Refusal> {
        match self.get(key) {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| Refusal::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))),
        }
    }

    /// `?dryRun=All`.
    pub fn is_dry_run(&self, options: &str) -> Result<bool, Refusal> {
        let Some(values) = self.0.get("dryRun") else { return Ok(false) };
        dry_run(values, options)
    }

    /// `?fieldValidation=`.
    pub fn field_validation(&self, options: &str) -> Result<FieldValidation, Refusal> {
        match self.get("fieldValidation") {
            "" | "Warn" => Ok(FieldValidation::Warn),
            "Ignore" => Ok(FieldValidation::Ignore),
            "Strict" => Ok(FieldValidation::Strict),
            other => Err(invalid_options(
                options,
                &[Cause {
                    reason: "FieldValueNotSupported",
                    message: format!(
                        "Unsupported value: {other:?}: supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""
                    ),
                    field: "fieldValidation".into(),
                }],
            )),
        }
    }
}

/// Whether these values of `dryRun` mean one.
pub(super) fn dry_run<S: AsRef<str>>(values: &[S], options: &str) -> Result<bool, Refusal> {
    if values.iter().all(|value| value.as_ref() == "All") {
        return Ok(!values.is_empty());
    }
    let values: Vec<_> = values.iter().map(AsRef::as_ref).collect();
    Err(invalid_options(
        options,
        &[Cause {
            reason: "FieldValueNotSupported",
            message: format!("Unsupported value: {values:?}: supported values: \"All\""),
            field: "dryRun".into(),
        }],
    ))
}

/// `ListOptions.meta.k8s.io "" is invalid: …`
pub(super) fn invalid_options(options: &str, causes: &[Cause]) -> Refusal {
    Refusal::invalid_kind("meta.k8s.io", options, "", causes)
}

/// A cause that something may not be set.
pub(super) fn forbidden(field: &str, why: &str) -> Cause {
    Cause { reason: "FieldValueForbidden", message: format!("Forbidden: {why}"), field: field.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse("labelSelector=app%3Dweb%2Ctier+in+(a)&watch&limit=5&timeout=");
        assert_eq!(query.get("labelSelector"), "app=web,tier in (a)");
        assert!(query.is_true("watch"));
        assert_eq!(query.number("limit").unwrap(), Some(5));
        assert_eq!(query.number("nope").unwrap(), None);
        assert!(!Query::parse("watch=false").is_true("watch"));
        assert!(!Query::parse("watch=0").is_true("watch"));
        // As Python writes it.
        assert!(!Query::parse("watch=False").is_true("watch"));
    }

    #[test]
    fn only_all_is_a_dry_run() {
        assert!(Query::parse("dryRun=All").is_dry_run("CreateOptions").unwrap());
        assert!(!Query::parse("").is_dry_run("CreateOptions").unwrap());
        let refusal = Query::parse("dryRun=x").is_dry_run("CreateOptions").unwrap_err();
        assert_eq!(
            refusal.message,
            r#"CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["x"]: supported values: "All""#
        );
    }
}
