//! Durations as Kubernetes writes them: `30s`, `1h30m`.

use std::{fmt, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A duration of whole milliseconds, written as Go does (`30s`, `1m30s`, `500ms`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline, extend("pattern" = GoDuration::PATTERN, "maxLength" = GoDuration::LONGEST))]
pub struct GoDuration(Duration);

/// Why a text is no [`GoDuration`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a duration: write whole numbers with ms, s, m or h, as in 90s or 1h30m")]
pub struct InvalidDuration {
    value: String,
}

impl GoDuration {
    /// What its text looks like, as a regular expression.
    pub const PATTERN: &'static str = "^([0-9]+(ms|s|m|h))+$";
    /// It is not longer than this.
    pub const LONGEST: usize = 32;

    /// The duration.
    #[must_use]
    pub fn get(self) -> Duration {
        self.0
    }
}

impl From<Duration> for GoDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl FromStr for GoDuration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidDuration { value: text.chars().take(64).collect() };
        if text.is_empty() || text.len() > Self::LONGEST {
            return Err(invalid());
        }
        let mut rest = text;
        let mut total = Duration::ZERO;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
            let number: u64 = rest[..digits].parse().map_err(|_| invalid())?;
            let unit = rest[digits..].split(|c: char| c.is_ascii_digit()).next().unwrap_or_default();
            let millis = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                _ => return Err(invalid()),
            };
            let part = Duration::from_millis(number.checked_mul(millis).ok_or_else(invalid)?);
            total = total.checked_add(part).ok_or_else(invalid)?;
            rest = &rest[digits + unit.len()..];
        }
        Ok(Self(total))
    }
}

impl TryFrom<String> for GoDuration {
    type Error = InvalidDuration;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<GoDuration> for String {
    fn from(duration: GoDuration) -> Self {
        duration.to_string()
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis == 0 {
            return f.write_str("0s");
        }
        for (amount, unit) in
            [(millis / 3_600_000, "h"), (millis / 60_000 % 60, "m"), (millis / 1_000 % 60, "s"), (millis % 1_000, "ms")]
        {
            if amount > 0 {
                write!(f, "{amount}{unit}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_as_kubernetes_does() {
        for (text, millis) in [("30s", 30_000), ("1h30m", 5_400_000), ("500ms", 500), ("90s", 90_000), ("0s", 0)] {
            assert_eq!(text.parse::<GoDuration>().unwrap().get().as_millis(), millis, "{text}");
        }
        assert_eq!("90s".parse::<GoDuration>().unwrap().to_string(), "1m30s");
        let long = format!("{}1s", "0".repeat(31));
        for bad in [&long, "", "30", "s", "-5s", "5 s", "1d", "99999999999999999999s", "18446744073709551615h"] {
            assert!(bad.parse::<GoDuration>().is_err(), "{bad}");
        }
    }
}
