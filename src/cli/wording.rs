//! Numbers and times for people.

use cobuild_protocol::value::{Role, Usage};
use jiff::Timestamp;

/// `1,234`
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// `1 model`, `2 models`
pub(super) fn several(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(number), if number == 1 { "" } else { "s" })
}

/// `812 B`, `1.2 kB`
pub(super) fn size(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // one digit after the point is shown
    let amount = bytes as f64;
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", amount / 1e3),
        _ => format!("{:.1} MB", amount / 1e6),
    }
}

/// From one RFC 3339 time to another: `0.8 s`, `12 s`, `3 min 5 s`. `None` when one of them is none.
pub(super) fn duration(from: &str, to: &str) -> Option<String> {
    let from: Timestamp = from.parse().ok()?;
    let to: Timestamp = to.parse().ok()?;
    let passed = to.duration_since(from);
    let seconds = passed.as_secs().max(0);
    Some(match seconds {
        0..10 => format!("{:.1} s", passed.as_secs_f64().max(0.0)),
        10..60 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    })
}

/// An RFC 3339 time seen from now: `just now`, `5 min ago`, and the date when it is long ago.
pub(super) fn ago(at: &str, now: Timestamp) -> String {
    let Ok(then) = at.parse::<Timestamp>() else { return at.to_owned() };
    let minutes = now.duration_since(then).as_mins();
    match minutes {
        i64::MIN..1 => "just now".into(),
        1..60 => format!("{minutes} min ago"),
        60..1440 => format!("{} h ago", minutes / 60),
        _ => at.chars().take("2026-01-31".len()).collect(),
    }
}

/// What model calls consumed: `1,234 tokens in, 456 out, $0.0012`. `None` when nobody said.
pub(super) fn usage(usage: &Usage) -> Option<String> {
    let input = [usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens];
    let input = input.iter().any(Option::is_some).then(|| input.iter().flatten().sum::<u64>());
    let mut parts = Vec::new();
    parts.extend(input.map(|tokens| format!("{} tokens in", count(tokens))));
    parts.extend(usage.output_tokens.map(|tokens| format!("{} out", count(tokens))));
    parts.extend(usage.cost_nano_usd.map(cost));
    if parts.is_empty() {
        return None;
    }
    let estimated = if usage.estimated { " (estimated)" } else { "" };
    Some(format!("{}{estimated}", parts.join(", ")))
}

/// `$0.0012`, from 10⁻⁹ dollars.
fn cost(nano_usd: u64) -> String {
    let (dollars, nano) = (nano_usd / 1_000_000_000, nano_usd % 1_000_000_000);
    format!("${dollars}.{:04}", nano / 100_000)
}

pub(super) const fn role(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Editor => "editor",
        Role::Owner => "owner",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 999, 1000, 1250, 2_340_000].map(size), ["0 B", "999 B", "1.0 kB", "1.2 kB", "2.3 MB"]);
        assert_eq!([0, 1, 1200].map(|number| several(number, "model")), ["0 models", "1 model", "1,200 models"]);
        assert_eq!([0, 1_200_000, 12_345_678_901].map(cost), ["$0.0000", "$0.0012", "$12.3456"]);
    }

    #[test]
    fn times() {
        let from = "2026-01-31T12:00:00.000Z";
        for (to, expected) in [
            ("2026-01-31T12:00:00.840Z", Some("0.8 s")),
            ("2026-01-31T12:00:12Z", Some("12 s")),
            ("2026-01-31T12:03:05Z", Some("3 min 5 s")),
            ("2026-01-31T11:00:00Z", Some("0.0 s")),
            ("yesterday", None),
        ] {
            assert_eq!(duration(from, to).as_deref(), expected, "{to}");
        }
        for (now, expected) in [
            ("2026-01-31T12:00:30Z", "just now"),
            ("2026-01-31T12:05:00Z", "5 min ago"),
            ("2026-01-31T15:00:00Z", "3 h ago"),
            ("2026-02-28T12:00:00Z", "2026-01-31"),
        ] {
            assert_eq!(ago(from, now.parse().expect("a time")), expected, "{now}");
        }
    }

    #[test]
    fn consumption() {
        let all = Usage {
            input_tokens: Some(1000),
            cache_read_tokens: Some(234),
            output_tokens: Some(56),
            cost_nano_usd: Some(1_200_000),
            estimated: true,
            ..Usage::default()
        };
        assert_eq!(usage(&all).as_deref(), Some("1,234 tokens in, 56 out, $0.0012 (estimated)"));
        assert_eq!(usage(&Usage::default()), None);
    }
}
