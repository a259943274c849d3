//! `resource.Quantity`: amounts such as `100m`, `1Gi`, `2e3`. The API server stores them in canonical form.
//! `k8s.io/apimachinery/pkg/api/resource/quantity.go`

use std::cmp::Ordering;

/// An amount, in billionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Decimal,
    Binary,
    Exponent,
}

const NANO: i128 = 1_000_000_000;
/// Go stops at 2^63-1 of any unit.
const LIMIT: i128 = i64::MAX as i128 * NANO;
const WRONG: &str = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const WRONG_SUFFIX: &str = "unable to parse quantity's suffix";
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [(&str, u32); 6] = [("Ki", 1), ("Mi", 2), ("Gi", 3), ("Ti", 4), ("Pi", 5), ("Ei", 6)];

impl Quantity {
    /// From its text; the error is Go's sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(WRONG);
        }
        let (format, exponent, factor) = unit(suffix)?;
        // Digits beyond these are more than any amount that is kept, or less than a billionth of one.
        let digits = format!("{}{}", whole.trim_start_matches('0'), fraction);
        let scale = exponent - i32::try_from(fraction.len()).map_err(|_| WRONG)? + 9;
        let mut value: i128 = 0;
        for digit in digits.bytes().take(36) {
            value = value.saturating_mul(10).saturating_add(i128::from(digit - b'0'));
        }
        let left_out = i32::try_from(digits.len().saturating_sub(36)).map_err(|_| WRONG)?;
        let mut nanos = scaled(value, scale + left_out, factor);
        nanos = nanos.min(LIMIT);
        Ok(Self { nanos: if negative { -nanos } else { nanos }, format })
    }

    /// In billionths, for comparing and adding.
    #[must_use]
    pub fn nanos(self) -> i128 {
        self.nanos
    }

    /// As the API server writes it.
    #[must_use]
    pub fn canonical(self) -> String {
        if self.nanos == 0 {
            return "0".to_owned();
        }
        if self.format == Format::Binary && self.nanos.abs() >= 1024 * NANO {
            // Rounded up to whole units.
            let mut value = (self.nanos.abs() + NANO - 1) / NANO;
            let mut power = 0;
            while value % 1024 == 0 && power < 6 {
                value /= 1024;
                power += 1;
            }
            let suffix = BINARY.iter().find(|(_, of)| *of == power).map_or("", |(suffix, _)| suffix);
            let sign = if self.nanos < 0 { "-" } else { "" };
            return format!("{sign}{value}{suffix}");
        }
        let (mut value, mut exponent) = (self.nanos, -9);
        while value % 1000 == 0 && exponent < 18 {
            value /= 1000;
            exponent += 3;
        }
        match self.format {
            Format::Exponent if exponent != 0 => format!("{value}e{exponent}"),
            _ => {
                let suffix = DECIMAL.iter().find(|(_, of)| *of == exponent).map_or("", |(suffix, _)| suffix);
                format!("{value}{suffix}")
            }
        }
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.nanos.partial_cmp(&other.nanos)
    }
}

fn unit(suffix: &str) -> Result<(Format, i32, i128), &'static str> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(of, _)| *of == suffix) {
        return Ok((Format::Decimal, *exponent, 1));
    }
    if let Some((_, power)) = BINARY.iter().find(|(of, _)| *of == suffix) {
        return Ok((Format::Binary, 0, 1024_i128.pow(*power)));
    }
    if let Some(exponent) = suffix.strip_prefix(['e', 'E']) {
        let exponent: i32 = exponent.parse().map_err(|_| WRONG_SUFFIX)?;
        return Ok((Format::Exponent, exponent.clamp(-100, 100), 1));
    }
    let allowed = |character: char| "eEinumkKMGTP+-".contains(character) || character.is_ascii_digit();
    Err(if suffix.chars().all(allowed) { WRONG_SUFFIX } else { WRONG })
}

/// `value * 10^scale * factor`, rounded up.
fn scaled(value: i128, scale: i32, factor: i128) -> i128 {
    let mut value = value.saturating_mul(factor);
    for _ in 0..scale.max(0) {
        value = value.saturating_mul(10);
    }
    let mut rest = false;
    for _ in 0..scale.min(0).unsigned_abs() {
        rest |= value % 10 != 0;
        value /= 10;
    }
    value + i128::from(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_canonical() {
        for (text, expected) in [
            ("0", "0"),
            ("1000m", "1"),
            ("1024Mi", "1Gi"),
            ("100m", "100m"),
            ("0.5", "500m"),
            ("1500Mi", "1500Mi"),
            ("1.5Gi", "1536Mi"),
            ("1000", "1k"),
            ("1024", "1024"),
            ("512Ki", "512Ki"),
            ("0.5Ki", "512"),
            ("1e3", "1e3"),
            ("1E", "1E"),
            ("12e6", "12e6"),
            ("-5", "-5"),
            ("+5", "5"),
            ("1.", "1"),
            (".5", "500m"),
            ("0.0000000001", "1n"),
            ("100000Gi", "100000Gi"),
        ] {
            assert_eq!(Quantity::parse(text).map(Quantity::canonical).as_deref(), Ok(expected), "{text}");
        }
        for (text, expected) in
            [("", WRONG), ("x", WRONG), ("1x", WRONG), ("1mm", WRONG_SUFFIX), ("1 Gi", WRONG), ("1..2", WRONG)]
        {
            assert_eq!(Quantity::parse(text), Err(expected), "{text}");
        }
    }
}
