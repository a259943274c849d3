//! How long ago: `4m35s`, `2d`. `k8s.io/apimachinery/pkg/util/duration/duration.go`

use jiff::Timestamp;
use serde_json::Value;

/// A number of seconds as people read it.
#[must_use]
pub fn human(seconds: i64) -> String {
    let with = |whole: i64, unit: &str, rest: i64, small: &str| {
        if rest == 0 { format!("{whole}{unit}") } else { format!("{whole}{unit}{rest}{small}") }
    };
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => with(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => with(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 24 * 8 => with(hours / 24, "d", hours % 24, "h"),
        _ if hours < 24 * 365 * 2 => format!("{}d", hours / 24),
        _ if hours < 24 * 365 * 8 => with(hours / 24 / 365, "y", hours / 24 % 365, "d"),
        _ => format!("{}y", hours / 24 / 365),
    }
}

/// How long before now a time was.
#[must_use]
pub fn since(time: Timestamp, now: Timestamp) -> String {
    human(now.duration_since(time).as_secs())
}

/// How long before now the time in a field was; `<unknown>` if there is none.
#[must_use]
pub fn of(field: &Value, now: Timestamp) -> String {
    match field.as_str().map(str::parse::<Timestamp>) {
        Some(Ok(time)) => since(time, now),
        _ => "<unknown>".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_kubectl_shows_them() {
        const HOUR: i64 = 3600;
        for (seconds, expected) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (275, "4m35s"),
            (600, "10m"),
            (179 * 60, "179m"),
            (3 * HOUR, "3h"),
            (3 * HOUR + 60, "3h1m"),
            (8 * HOUR + 60, "8h"),
            (47 * HOUR, "47h"),
            (48 * HOUR, "2d"),
            (49 * HOUR, "2d1h"),
            (8 * 24 * HOUR + HOUR, "8d"),
            (365 * 24 * HOUR, "365d"),
            (2 * 365 * 24 * HOUR, "2y"),
            (2 * 365 * 24 * HOUR + 24 * HOUR, "2y1d"),
            (9 * 365 * 24 * HOUR, "9y"),
        ] {
            assert_eq!(human(seconds), expected, "{seconds}");
        }
    }
}
