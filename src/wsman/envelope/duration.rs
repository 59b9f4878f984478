//! `xs:duration` as WinRM uses it.

use std::time::Duration;

/// Reads `PnDTnHnMn.nS`. Years and months have no length, negative and absurd ones no use: `None`.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let (days, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((days, time)) if !time.is_empty() => (days, time),
        Some(_) => return None,
        None => (text.strip_prefix('P')?, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let mut total = match days {
        "" => 0,
        days => whole(days.strip_suffix('D')?)?.checked_mul(86_400_000)?,
    };
    let mut rest = time;
    for (unit, millis) in [('H', 3_600_000), ('M', 60_000)] {
        if let Some((number, tail)) = rest.split_once(unit) {
            total = whole(number)?.checked_mul(millis)?.checked_add(total)?;
            rest = tail;
        }
    }
    if !rest.is_empty() {
        total = seconds(rest.strip_suffix('S')?)?.checked_add(total)?;
    }
    (total <= MOST).then(|| Duration::from_millis(total))
}

/// Milliseconds of `n` or `n.n`.
fn seconds(text: &str) -> Option<u64> {
    let (number, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let valid = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|b| b.is_ascii_digit());
    let thousandths: String = fraction.chars().chain("00".chars()).take(3).collect();
    whole(number)?.checked_mul(1000)?.checked_add(thousandths.parse().ok()?).filter(|_| valid)
}

fn whole(text: &str) -> Option<u64> {
    let valid = (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| valid)
}

/// What Windows writes for "for ever": `PT2147483.647S`.
const MOST: u64 = 2_147_483_647;

#[cfg(test)]
mod tests {
    use super::parse;
    use std::time::Duration;

    #[test]
    fn durations_as_clients_write_them_are_read() {
        for (text, millis) in [
            ("PT20S", 20_000),
            ("PT60.000S", 60_000),
            ("PT180.000S", 180_000),
            ("P0DT0H1M0S", 60_000),
            ("P1D", 86_400_000),
            ("PT1H", 3_600_000),
            ("PT0.5S", 500),
            ("PT2147483.647S", 2_147_483_647),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn durations_without_length_negative_or_absurd_are_refused() {
        for text in [
            "",
            "P",
            "PT",
            "-PT20S",
            "P1Y",
            "P1M",
            "PT-5S",
            "PT99999999999S",
            "P99999D",
            "20",
            "PT20",
            "PT.5S",
            "PT5.S",
            "PT1M1H",
            "PT1S ",
            "PT+1S",
            "P1DT",
            "PT1e9S",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
