//! Quantities: `500m`, `2`, `16Gi`.

use serde_json::Value;

/// A quantity in thousandths, rounded up; a number in JSON counts as well. None where it is no quantity.
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>
#[must_use]
pub fn thousandths(quantity: &Value) -> Option<i128> {
    match quantity {
        Value::String(text) => parse(text),
        Value::Number(number) => parse(&number.to_string()),
        _ => None,
    }
}

fn parse(text: &str) -> Option<i128> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // In billionths, so that even `n` is exact.
    let fraction: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let negative = whole.starts_with('-');
    let whole: i128 = if matches!(whole, "" | "-" | "+") { 0 } else { whole.parse().ok()? };
    let fraction: i128 = fraction.parse().ok()?;
    let billionths = whole.checked_mul(1_000_000_000)?.checked_add(if negative { -fraction } else { fraction })?;
    let (factor, divisor): (i128, i128) = match suffix {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        exponent => match exponent.strip_prefix(['e', 'E'])?.parse::<i32>().ok()? {
            power @ 0..=18 => (10_i128.checked_pow(power.unsigned_abs())?, 1),
            power @ -18..0 => (1, 10_i128.checked_pow(power.unsigned_abs())?),
            _ => return None,
        },
    };
    let (product, divisor) = (billionths.checked_mul(factor)?, divisor * 1_000_000);
    Some(product.div_euclid(divisor) + i128::from(product.rem_euclid(divisor) > 0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_does() {
        for (quantity, expected) in [
            (json!("500m"), Some(500)),
            (json!("2"), Some(2_000)),
            (json!(2), Some(2_000)),
            (json!("0.5"), Some(500)),
            (json!(".5"), Some(500)),
            (json!("1Gi"), Some(1_073_741_824_000)),
            (json!("1.5Gi"), Some(1_610_612_736_000)),
            (json!("1e3"), Some(1_000_000)),
            (json!("100n"), Some(1)),
            (json!("3E"), Some(3_000_000_000_000_000_000_000)),
            (json!("much"), None),
            (json!(null), None),
        ] {
            assert_eq!(thousandths(&quantity), expected, "{quantity}");
        }
    }
}
