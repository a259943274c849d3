//! What names, label keys and label values may look like. Each function returns what is wrong, in Kubernetes' words; nothing
//! is wrong if it is empty. `k8s.io/apimachinery/pkg/api/validate/content`

use std::sync::LazyLock;

use regex::Regex;

const DNS_LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const DNS_SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const DNS_1035_LABEL: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const LABEL_KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const CONFIG_KEY: &str = "[-._a-zA-Z0-9]+";
const LABEL_KEY_ERROR: &str =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// A pattern that the whole text must match. A pattern that does not compile matches nothing.
struct Pattern(LazyLock<Option<Regex>>);

impl Pattern {
    fn matches(&self, text: &str) -> bool {
        self.0.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

macro_rules! patterns {
    ($($name:ident = $text:expr;)*) => {
        $(static $name: Pattern = Pattern(LazyLock::new(|| Regex::new(&format!("^{}$", $text)).ok()));)*
    };
}

patterns! {
    IS_DNS_LABEL = DNS_LABEL;
    IS_DNS_SUBDOMAIN = DNS_SUBDOMAIN;
    IS_DNS_1035_LABEL = DNS_1035_LABEL;
    IS_LABEL_KEY = LABEL_KEY;
    IS_LABEL_VALUE = LABEL_VALUE;
    IS_CONFIG_KEY = CONFIG_KEY;
    IS_PERCENT = "[0-9]+%";
}

fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} bytes")
}

fn pattern_error(message: &str, pattern: &str, examples: &[&str]) -> String {
    let examples: Vec<_> = examples.iter().map(|example| format!("'{example}', ")).collect();
    let examples = examples.join(" or ");
    format!("{message} (e.g. {examples}regex used for validation is '{pattern}')")
}

/// A lowercase RFC 1123 label.
#[must_use]
pub fn dns_label(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 63 {
        wrong.push(too_long(63));
    }
    if !IS_DNS_LABEL.matches(text) {
        wrong.push(if IS_DNS_SUBDOMAIN.matches(text) {
            "must not contain dots".to_owned()
        } else {
            let message = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                           start and end with an alphanumeric character";
            pattern_error(message, DNS_LABEL, &["my-name", "123-abc"])
        });
    }
    wrong
}

/// A lowercase RFC 1123 subdomain: the name of most objects.
#[must_use]
pub fn dns_subdomain(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 253 {
        wrong.push(too_long(253));
    }
    if !IS_DNS_SUBDOMAIN.matches(text) {
        let message = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
                       start and end with an alphanumeric character";
        wrong.push(pattern_error(message, DNS_SUBDOMAIN, &["example.com"]));
    }
    wrong
}

/// A DNS-1035 label: it starts with a letter.
#[must_use]
pub fn dns_1035_label(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 63 {
        wrong.push(too_long(63));
    }
    if !IS_DNS_1035_LABEL.matches(text) {
        let message = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
                       character, and end with an alphanumeric character";
        wrong.push(pattern_error(message, DNS_1035_LABEL, &["my-name", "abc-123"]));
    }
    wrong
}

/// A segment of a path: the name of roles and their bindings.
#[must_use]
pub fn path_segment(text: &str) -> Vec<String> {
    if text == "." || text == ".." {
        return vec![format!("may not be '{text}'")];
    }
    let has = |part| text.contains(part).then(|| format!("may not contain '{part}'"));
    ["/", "%"].into_iter().filter_map(has).collect()
}

/// A label's key, which is also a qualified name: of taints, finalizers, conditions.
#[must_use]
pub fn label_key(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let parts: Vec<_> = text.split('/').collect();
    let name = match parts[..] {
        [name] => name,
        ["", name] => {
            wrong.push("prefix part must be non-empty".to_owned());
            name
        }
        [prefix, name] => {
            wrong.extend(dns_subdomain(prefix).into_iter().map(|error| format!("prefix part {error}")));
            name
        }
        _ => {
            let pattern = pattern_error(LABEL_KEY_ERROR, LABEL_KEY, &["MyName", "my.name", "123-abc"]);
            let optional = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {pattern} {optional}")];
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        wrong.push(format!("name part {}", too_long(63)));
    }
    if !IS_LABEL_KEY.matches(name) {
        let pattern = pattern_error(LABEL_KEY_ERROR, LABEL_KEY, &["MyName", "my.name", "123-abc"]);
        wrong.push(format!("name part {pattern}"));
    }
    wrong
}

/// A label's value.
#[must_use]
pub fn label_value(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 63 {
        wrong.push(too_long(63));
    }
    if !IS_LABEL_VALUE.matches(text) {
        let message = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
                       start and end with an alphanumeric character";
        wrong.push(pattern_error(message, LABEL_VALUE, &["MyValue", "my_value", "12345"]));
    }
    wrong
}

/// A key of a `ConfigMap` or `Secret`.
#[must_use]
pub fn config_key(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 253 {
        wrong.push(too_long(253));
    }
    if !IS_CONFIG_KEY.matches(text) {
        let message = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        wrong.push(pattern_error(message, CONFIG_KEY, &["key.name", "KEY_NAME", "key-name"]));
    }
    if text == "." || text == ".." {
        wrong.push(format!("must not be '{text}'"));
    } else if text.starts_with("..") {
        wrong.push("must not start with '..'".to_owned());
    }
    wrong
}

/// A percentage: `20%`.
#[must_use]
pub fn percent(text: &str) -> Vec<String> {
    if IS_PERCENT.matches(text) {
        return Vec::new();
    }
    let message = "a valid percent string must be a numeric string followed by an ending '%'";
    vec![pattern_error(message, "[0-9]+%", &["1%", "93%"])]
}
